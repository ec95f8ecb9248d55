"""Five small models of common architectures, with random weights, and inputs of any size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

VOCABULARY = 8000


@dataclass(frozen=True)
class Architecture:
    """A model, what its inputs may be, and how they are made."""

    build: Callable[[], torch.nn.Module]
    bounds: tuple[int, ...]
    inputs: Callable[..., torch.Tensor]
    """Of as many sizes as there are bounds."""


class Block(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = torch.nn.LayerNorm(width), torch.nn.LayerNorm(width)
        self.qkv = torch.nn.Linear(width, 3 * width)
        self.out = torch.nn.Linear(width, width)
        self.up, self.down = torch.nn.Linear(width, 4 * width), torch.nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, s, w = x.shape
        parts = self.qkv(self.before(x)).view(b, s, 3, self.heads, w // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(b, s, w))
        return x + self.down(functional.gelu(self.up(self.between(x))))


class Gpt(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
    def __init__(self, width: int = 192, layers: int = 4, heads: int = 6) -> None:
        super().__init__()
        self.tokens = torch.nn.Embedding(VOCABULARY, width)
        self.places = torch.nn.Embedding(256, width)
        self.blocks = torch.nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.tokens(tokens) + self.places(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.norm(x) @ self.tokens.weight.T


class Residual(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
    def __init__(self, of: int, to: int, stride: int) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(of, to, 3, stride, 1, bias=False)
        self.second = torch.nn.Conv2d(to, to, 3, 1, 1, bias=False)
        self.norms = torch.nn.ModuleList(torch.nn.BatchNorm2d(to) for _ in range(2))
        self.short = torch.nn.Conv2d(of, to, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(y)) + self.short(x))


class ResNet(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 16, 3, 1, 1)
        steps = [(16, 16, 1), (16, 32, 2), (32, 64, 2)]
        self.blocks = torch.nn.Sequential(*(Residual(*step) for step in steps))
        self.head = torch.nn.Linear(64, 100)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        y = self.blocks(functional.relu(self.stem(images)))
        return self.head(y.mean((2, 3)))


class Mlp(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
    def __init__(self, width: int = 512, layers: int = 4) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(torch.nn.Linear(width, width) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = x + functional.gelu(layer(x))
        return x


class Logits(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
    """What a language model of transformers computes, as one tensor."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(tokens, use_cache=False).logits
        return logits


def _gpt2() -> torch.nn.Module:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"vocab_size": VOCABULARY, "n_positions": 256, "n_embd": 192, "n_layer": 4, "n_head": 6}
    return Logits(GPT2LMHeadModel(GPT2Config(**sizes, bos_token_id=0, eos_token_id=0)))


def _llama() -> torch.nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 4}
    heads = {"num_attention_heads": 6, "num_key_value_heads": 3}
    return Logits(LlamaForCausalLM(LlamaConfig(vocab_size=VOCABULARY, **sizes, **heads)))


def tokens(batch: int, length: int) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (batch, length))


def images(batch: int, side: int) -> torch.Tensor:
    return torch.rand(batch, 3, side, side)


def rows(batch: int) -> torch.Tensor:
    return torch.rand(batch, 512)


ARCHITECTURES = {
    "MLP": Architecture(Mlp, (2048,), rows),
    "GPT": Architecture(Gpt, (4, 256), tokens),
    "ResNet-like": Architecture(ResNet, (8, 64), images),
    "HF GPT-2": Architecture(_gpt2, (4, 256), tokens),
    "HF Llama": Architecture(_llama, (4, 256), tokens),
}
