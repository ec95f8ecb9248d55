"""A decoder of the shape of Llama 3.2 1B: prefill in chunks, with caches that the caller keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """The numbers that make a decoder; by default those of Llama 3.2 1B."""

    layers: int = 16
    hidden: int = 2048
    heads: int = 32
    groups: int = 8
    head: int = 64
    inner: int = 8192
    vocabulary: int = 128256


class Attention(torch.nn.Module):  # type: ignore[misc]
    """Grouped attention over a cache of keys and values, to which the chunk is added in place."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = torch.nn.Linear(shape.hidden, shape.heads * shape.head, bias=False)
        self.k = torch.nn.Linear(shape.hidden, shape.groups * shape.head, bias=False)
        self.v = torch.nn.Linear(shape.hidden, shape.groups * shape.head, bias=False)
        self.out = torch.nn.Linear(shape.heads * shape.head, shape.hidden, bias=False)

    def forward(self, x: Any, cache: Any, positions: Any, mask: Any, cos: Any, sin: Any) -> Any:
        """Return what the chunk attends to; `cache` is [2, batch, groups, length, head]."""
        q, k, v = (
            layer(x).unflatten(-1, (-1, self.shape.head)).transpose(1, 2)
            for layer in (self.q, self.k, self.v)
        )
        cache[0].index_copy_(2, positions, turned(k, cos, sin))
        cache[1].index_copy_(2, positions, v)
        seen = functional.scaled_dot_product_attention(
            turned(q, cos, sin), cache[0], cache[1], attn_mask=mask, enable_gqa=True
        )
        return self.out(seen.transpose(1, 2).flatten(2))


class Block(torch.nn.Module):  # type: ignore[misc]
    """Attention, then a gated perceptron."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.before = torch.nn.RMSNorm(shape.hidden)
        self.attention = Attention(shape)
        self.between = torch.nn.RMSNorm(shape.hidden)
        self.gate = torch.nn.Linear(shape.hidden, shape.inner, bias=False)
        self.up = torch.nn.Linear(shape.hidden, shape.inner, bias=False)
        self.down = torch.nn.Linear(shape.inner, shape.hidden, bias=False)

    def forward(self, x: Any, *rest: Any) -> Any:
        """Return the chunk's states after this block."""
        x = x + self.attention(self.before(x), *rest)
        y = self.between(x)
        return x + self.down(functional.silu(self.gate(y)) * self.up(y))


class Decoder(torch.nn.Module):  # type: ignore[misc]
    """Returns the logits of the last token of a chunk; the embedding is also the head."""

    def __init__(self, shape: Shape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or Shape()
        self.embedding = torch.nn.Embedding(shape.vocabulary, shape.hidden)
        self.blocks = torch.nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = torch.nn.RMSNorm(shape.hidden)

    def forward(self, ids: Any, positions: Any, caches: list[Any]) -> Any:
        """`ids` is [batch, chunk], `positions` [chunk], where the chunk goes in the caches."""
        x = self.embedding(ids)
        length = caches[0].shape[3]
        mask = torch.arange(length, device=ids.device) <= positions[:, None]
        cos, sin = angles(positions, self.shape.head, x.dtype)
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, cache, positions, mask, cos, sin)
        return functional.linear(self.norm(x[:, -1]), self.embedding.weight)


def angles(positions: Any, head: int, dtype: Any) -> tuple[Any, Any]:
    """Return cosines and sines of the rotary embedding, [chunk, head]."""
    at = torch.arange(0, head, 2, device=positions.device, dtype=torch.float32)
    turns = positions[:, None] * (500000.0 ** (-at / head))
    turns = torch.cat([turns, turns], -1)
    return turns.cos().to(dtype), turns.sin().to(dtype)


def turned(x: Any, cos: Any, sin: Any) -> Any:
    """Return keys or queries, turned by their positions."""
    left, right = x.chunk(2, -1)
    return x * cos + torch.cat([-right, left], -1) * sin


def made(shape: Shape | None = None, *, device: str = "meta") -> Decoder:
    """Return a decoder in bfloat16 without initialised weights."""
    with torch.device(device):
        decoder: Decoder = Decoder(shape).to(torch.bfloat16).eval().requires_grad_(False)
    return decoder


def example(shape: Shape, b: int = 2, c: int = 8, s: int = 16, device: str = "meta") -> Any:
    """Return the arguments of a call."""
    return (
        torch.zeros(b, c, dtype=torch.int64, device=device),
        torch.arange(c, device=device),
        [
            torch.zeros(2, b, shape.groups, s, shape.head, dtype=torch.bfloat16, device=device)
            for _ in range(shape.layers)
        ],
    )


def bounds(shape: Shape, batch: int = 64, chunk: int = 8192, length: int = 2**20) -> Any:
    """Return the dynamic shapes of a call: batch b, chunk c, length s of the caches."""
    from torch.export import Dim

    b, c, s = Dim("b", min=1, max=batch), Dim("c", min=1, max=chunk), Dim("s", min=1, max=length)
    return {
        "ids": {0: b, 1: c},
        "positions": {0: c},
        "caches": [{1: b, 3: s} for _ in range(shape.layers)],
    }
