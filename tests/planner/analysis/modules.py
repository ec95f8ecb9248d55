"""Modules that several tests plan."""

from __future__ import annotations

from typing import Any

import torch


class Chain(torch.nn.Module):
    """The chain of TVM's tests: exp, reshape, relu, + 1, padded by two, log."""

    def forward(self, x: Any) -> Any:
        flat = x.exp().reshape(-1).relu() + 1
        return torch.nn.functional.pad(flat, (1, 1)).log()


class Doubled(torch.nn.Module):
    """Multiplies by two."""

    def forward(self, x: Any) -> Any:
        return x * 2


class Pair(torch.nn.Module):
    """Adds two tensors."""

    def forward(self, x: Any, y: Any) -> Any:
        return x + y


class Selected(torch.nn.Module):
    """Its result's size depends on the values."""

    def forward(self, x: Any) -> Any:
        return torch.nonzero(x) + 1


class Counted(torch.nn.Module):
    """Makes as many rows as a tensor says."""

    def forward(self, count: Any) -> Any:
        rows = count.item()
        torch._check(rows >= 0)
        return torch.ones(rows, 3) + 1


class Cached(torch.nn.Module):
    """Keeps what it has seen in a buffer, and in a cache that the caller passes."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(64, 8))
        self.register_buffer("scale", torch.ones(8))
        self.linear = torch.nn.Linear(8, 8)

    def forward(self, x: Any, cache: Any) -> Any:
        y = self.linear(x) * self.scale
        self.seen[: x.shape[0]] = y
        cache[: x.shape[0]].add_(y)
        return cache[: x.shape[0]].sum(-1)


class Tied(torch.nn.Module):
    """Two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.one = torch.nn.Linear(8, 8, bias=False)
        self.other = torch.nn.Linear(8, 8, bias=False)
        self.other.weight = self.one.weight

    def forward(self, x: Any) -> Any:
        return self.other(self.one(x))
