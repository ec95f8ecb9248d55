"""Embeddings: one vector of a text, from the last hidden states of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from onecopy.errors import UnsupportedOperation
from onecopy.nn.backends.text.options import normalized

if TYPE_CHECKING:
    from onecopy.nn.backends.text.options import TextOptions


def embed(model: Any, inputs: dict[str, torch.Tensor], options: TextOptions) -> list[float]:
    """Return the embedding of one text, pooled and divided by a norm as the options say.

    Args:
        model: of transformers, an encoder or a decoder.
        inputs: what its tokenizer made of the text, with a batch of 1.
        options: of which `embd_normalize` and `pooling_type` count.

    Raises:
        UnsupportedOperation: the model has no hidden states of tokens.
    """
    with torch.inference_mode():
        found = model.base_model(**inputs)
        hidden = getattr(found, "last_hidden_state", None)
        if hidden is None or hidden.dim() != 3:
            raise UnsupportedOperation(
                f"a {type(model).__name__} has no hidden states to make an embedding of"
            )
        pooled = _pooled(hidden[0].float(), options.pooling_type)
    return normalized(pooled.tolist(), options.embd_normalize)


def _pooled(hidden: torch.Tensor, kind: int) -> torch.Tensor:
    """From `[tokens, width]` to `[width]`; there is no padding in a batch of one."""
    if kind == 2:
        return hidden[0]
    if kind == 3:
        return hidden[-1]
    return hidden.mean(0)
