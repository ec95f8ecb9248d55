"""Modules whose memory is certified; here, because another process imports them."""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any

import torch
from torch.export import Dim

from onecopy import planner


class Wide(torch.nn.Module):
    """Needs room for a hidden layer eight times as wide as its input."""

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.up = torch.nn.Linear(width, 8 * width)
        self.down = torch.nn.Linear(8 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(torch.relu(self.up(x)))


class Hungry(Wide):
    """Needs more than its graph shows, and has state: it must not be run more than once."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("runs", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_exporting():
            return super().forward(x)
        assert not self.runs.item(), "it has been run before"
        self.runs += 1
        workspace = torch.empty(64 * x.numel())
        return super().forward(x) + 0 * workspace.numel()


class Troubled(Wide):
    """Fails with 8 rows; with more its process ends, as when there is no memory left."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.compiler.is_exporting():
            if len(x) == 8:
                raise ZeroDivisionError("for a test")
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


class Unsendable(Wide):
    """Has something that cannot be pickled."""

    def __init__(self) -> None:
        super().__init__()
        self.handle = ctypes.c_char_p(b"x")


def wide() -> Wide:
    return Wide()


def unsendable() -> Unsendable:
    return Unsendable()


def planned(module: torch.nn.Module, most: int = 4096) -> Any:
    """The plan of such a module for a number of rows."""
    example = torch.ones(4, 64, device=next(module.parameters()).device)
    return planner.plan(module, (example,), dynamic_shapes={"x": {0: Dim("s", min=2, max=most)}})


def wide_plan() -> Any:
    return planned(Wide())


def grown_plan() -> Any:
    """The plan of a module with a number of sequences and of rows in each."""
    sizes = {0: Dim("b", min=1, max=64), 1: Dim("s", min=2, max=4096)}
    return planner.plan(Wide(), (torch.ones(2, 4, 64),), dynamic_shapes={"x": sizes})
