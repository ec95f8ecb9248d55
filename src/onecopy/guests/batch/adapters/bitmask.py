"""Packed masks applied to logits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    import torch

    from onecopy.guests.decoding.vocabulary import Vocabulary


def apply_bitmask(logits: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Set the logits that a packed mask forbids to -inf, in place; return them.

    Plain torch, on any device. Kernels that do the same faster on GPUs (xgrammar's, vLLM's) take
    the same mask.

        >>> import torch
        >>> apply_bitmask(torch.zeros(1, 4), torch.tensor([[0b0101]], dtype=torch.int32))
        tensor([[0., -inf, 0., -inf]])

    Args:
        logits: `[rows, vocab]`; what they have beyond the mask is forbidden.
        mask: int32 `[rows, words]`; bit i % 32 of word i // 32 allows token i.

    Raises:
        InvalidArgument: a mask of another type, whose bits would be others.
    """
    import torch

    if mask.dtype is not torch.int32:
        raise InvalidArgument(f"a packed mask is int32, not {mask.dtype}; take it from step.mask")
    allowed = _bits(mask.to(logits.device))[:, : logits.shape[1]]
    inside = logits[:, : allowed.shape[1]]
    inside.masked_fill_(allowed.logical_not(), float("-inf"))
    logits[:, allowed.shape[1] :] = float("-inf")
    return torch.as_tensor(logits)


def check_width(logits: torch.Tensor, vocabulary: Vocabulary) -> None:
    """Raise `InvalidArgument` if a model has no logits for some tokens: a guest may want them."""
    width = logits.shape[-1]
    if width < vocabulary.size:
        raise InvalidArgument(
            f"the model has {width} logits, and the vocabulary {vocabulary.size} tokens; make it "
            "of the tokenizer that the model was trained with, or give the model more embeddings"
        )


def _bits(mask: torch.Tensor) -> torch.Tensor:
    import torch

    if mask.device.type == "cpu":
        import numpy as np

        packed: Any = mask.contiguous().numpy().view(np.uint8)
        return torch.from_numpy(np.unpackbits(packed, axis=1, bitorder="little")).bool()
    shifts = torch.arange(32, dtype=torch.int32, device=mask.device)
    return (mask.unsqueeze(-1) >> shifts & 1).bool().flatten(1)
