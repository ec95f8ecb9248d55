"""A claim of the demo, and whether it held."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """A claim in words, whether it held, and what was seen instead if not."""

    claim: str
    held: bool
    trouble: str = ""


def soon(condition: Callable[[], bool], patience: float = 5.0) -> bool:
    """Wait until `condition` is true; False if it still is not after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
