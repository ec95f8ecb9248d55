"""What is planned: a decoder of a real architecture, and an encoder with its real weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

from onecopy.demo.checkpoint import Checkpoint
from onecopy.demo.pooling import mean_pool
from onecopy.demo.sentences import SENTENCES

if TYPE_CHECKING:
    from pathlib import Path

_VOCABULARY: Final = 4096


@dataclass(frozen=True)
class Subject:
    """A module, arguments of it, and how large their dimensions may become."""

    title: str
    module: torch.nn.Module
    args: tuple[torch.Tensor, ...]
    """All of shape `[batch, length]`."""
    batch: int
    length: int
    longest: int
    """How many tokens the model's positions allow for."""
    budgets: tuple[str, ...]
    """For which the longest text of one sequence is looked for."""

    def dynamic_shapes(self, batch: int, length: int) -> tuple[dict[int, Any], ...]:
        """Return the two dimensions with these bounds, as `torch.export` takes them."""
        from torch.export import Dim

        dims = {0: Dim("batch", min=1, max=batch), 1: Dim("length", min=1, max=length)}
        return tuple(dims for _ in self.args)


class Decoder(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
    """Tokens `[batch, length]` to logits `[batch, length, vocab]`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> Any:
        """Run the model, without a cache of keys and values."""
        return self.model(input_ids=tokens, use_cache=False).logits


class Encoder(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
    """Tokens and mask, both `[batch, length]`, to one vector a row, `[batch, width]`."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> Any:
        """Run the model, and average over the real tokens.

        The mask is spelled out as what attention adds: given as it is, transformers would look
        whether anything is masked at all, and call other kernels then.
        """
        hidden = self.model(input_ids=tokens, attention_mask=_additive(mask)).last_hidden_state
        return mean_pool(hidden, mask)


def _additive(mask: torch.Tensor) -> torch.Tensor:
    hidden = (1 - mask.to(torch.float32)) * torch.finfo(torch.float32).min
    return hidden[:, None, None, :].expand(-1, -1, mask.shape[1], -1)


def decoder() -> Subject:
    """Return a Llama of 4 layers, with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=_VOCABULARY,
        hidden_size=256,
        intermediate_size=688,
        num_hidden_layers=4,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=4096,
    )
    module = Decoder(LlamaForCausalLM(config).eval())
    tokens = torch.randint(0, _VOCABULARY, (2, 16))
    title = "Llama, 4 layers of width 256"
    return Subject(title, module, (tokens,), 4, 128, 4096, ("24MiB", "32MiB", "48MiB"))


def encoder(folder: Path | None) -> Subject:
    """Return an encoder with its weights, and the demo's sentences to embed."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    directory = Checkpoint.find(folder).directory
    model = AutoModel.from_pretrained(directory).eval()
    words = AutoTokenizer.from_pretrained(directory)(
        list(SENTENCES[:8]), padding=True, return_tensors="pt"
    )
    args = (words["input_ids"], words["attention_mask"])
    title = f"{model.config.model_type}, {directory.name if folder else 'all-MiniLM-L6-v2'}"
    return Subject(title, Encoder(model), args, 8, 96, 512, ("88MiB", "90MiB", "92MiB"))
