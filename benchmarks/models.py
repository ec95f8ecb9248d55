"""Models behind hosts of their own, for the questions about inference."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onecopy
from benchmarks.stage import Stage
from onecopy import nn

STORE = "models"
DEPTH = 8


@contextmanager
def host(stage: Stage, modules: dict[str, Any], capacity: str = "2GiB") -> Iterator[nn.Host]:
    """A host of PyTorch modules in a store; everything ends with it.

    Libraries compute in one thread, as this process does.
    """
    own = {"ONECOPY_RUNTIME_DIR": str(stage.root / "run"), "OMP_NUM_THREADS": "1"}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        with onecopy.start(STORE, capacity=capacity) as store:
            for name, module in modules.items():
                store.save_module(name, module)
            with nn.Host({each: each for each in modules}, store=store, idle_seconds=0) as made:
                yield made
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def side(nbytes: int) -> int:
    """Return how many numbers go into `layers`, and come out."""
    return int((nbytes / 4 / DEPTH) ** 0.5)


def layers(nbytes: int) -> Any:
    """Return a module about this large: its answer needs every byte of it."""
    import torch

    width = side(nbytes)
    return torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(DEPTH)))
