"""A subject that is planned in a moment."""

from __future__ import annotations

import torch

from onecopy.demo.plan.subject import Subject


class Small(torch.nn.Module):
    """Tokens `[batch, length]` to `[batch, length, 16]`."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = torch.nn.Embedding(10, 8)
        self.wide = torch.nn.Linear(8, 16)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.wide(self.embedding(tokens).sin()).relu()


def small() -> Subject:
    """Return a subject of two small layers; its last budget is for some hundred tokens."""
    tokens = torch.randint(0, 10, (2, 6))
    return Subject("two layers", Small().eval(), (tokens,), 3, 24, 512, ("8KiB", "16KiB", "32KiB"))
