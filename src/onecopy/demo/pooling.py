"""From a model's hidden states to one vector a sentence."""

from __future__ import annotations

from typing import Any


def mean_pool(hidden: Any, mask: Any) -> Any:
    """Average the hidden states of the real tokens and scale each row to length one.

    `hidden` is `(sentences, tokens, width)`, `mask` is `(sentences, tokens)` with 1 for a
    token and 0 for padding; the result is `(sentences, width)`.
    """
    weights = mask.unsqueeze(-1).to(hidden.dtype)
    mean = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    return mean / mean.norm(dim=1, keepdim=True).clamp(min=1e-12)
