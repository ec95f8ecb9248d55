"""Waiting for what other processes do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def eventually(met: Callable[[], object], seconds: float = 60) -> None:
    """Return when something has become true; fail when it does not."""
    end = time.monotonic() + seconds
    pause = threading.Event()
    while not met():
        assert time.monotonic() < end, "it did not happen"
        pause.wait(0.005)
