"""The cases of TVM's tests of its memory planning pass, as modules.

They are of apache/tvm, pull request 16111. TVM's bytes are what those tests expect it to allocate
for intermediates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import Dim

WORKSPACE = 4194304


class Chain(torch.nn.Module):  # type: ignore[misc]
    """Exp, reshape, relu, plus one, padded, log."""

    def forward(self, x: Any) -> Any:
        """Return a vector that is two longer."""
        return torch.nn.functional.pad(x.exp().reshape(-1).relu() + 1, (1, 1)).log()


class Viewed(torch.nn.Module):  # type: ignore[misc]
    """Half of a matrix, seen as a vector."""

    def forward(self) -> Any:
        """Return a vector of 128."""
        return torch.empty(16, 16).view(-1)[:128].exp().exp()


class Falling(torch.nn.Module):  # type: ignore[misc]
    """Its intermediates get smaller when m grows."""

    def forward(self, x: Any, y: Any) -> Any:
        """Return n · m · max(n - m, 1) numbers."""
        n, m = x.shape[0], y.shape[0]
        return torch.empty(n, m, torch.sym_max(n - m, 1)).exp().exp().exp()


class Scanned(torch.nn.Module):  # type: ignore[misc]
    """Needs workspace that grows with the batch."""

    def forward(self, x: Any) -> Any:
        """Return the sums of each row."""
        workspace = torch.empty(2 * x.numel() * 4 + WORKSPACE, dtype=torch.uint8)
        return torch.cumsum(x, -1, out=torch.empty_like(x)) + workspace[0]


@dataclass(frozen=True)
class Case:
    """A module, its example and bounds, and the bytes that TVM allocates for its intermediates."""

    title: str
    make: Callable[[], Any]
    args: tuple[Any, ...]
    shapes: Any
    tvm: int


def cases() -> list[Case]:
    """Return TVM's cases that allocate anything."""
    n, m = Dim("n", min=2, max=20), Dim("m", min=2, max=5)
    batch, words = Dim("batch", min=2, max=32), Dim("words", min=2, max=1000)
    four = {"x": {1: Dim("n", min=2, max=4)}}
    return [
        Case("static", Chain, (torch.ones(2, 4),), None, 32 + 40),
        Case("upper bound", Chain, (torch.ones(2, 3),), four, 32 + 40),
        Case("view", Viewed, (), None, 1024 + 512),
        Case(
            "decreasing",
            Falling,
            (torch.ones(9), torch.ones(4)),
            {"x": {0: n}, "y": {0: m}},
            8000 * 2,
        ),
        Case(
            "workspace",
            Scanned,
            (torch.ones(3, 5),),
            {"x": {0: batch, 1: words}},
            32 * 1000 * 4 * 2 + WORKSPACE + 32 * 1000 * 4,
        ),
    ]
