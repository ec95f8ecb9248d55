"""How often to try one's luck, and how to wait without racing a clock."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

_FACTOR = float(os.environ.get("ONECOPY_TEST_ROUNDS", "1"))


def rounds(number: int) -> int:
    """Return how many rounds to play where `number` is the usual."""
    return max(1, int(number * _FACTOR))


def eventually(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait until `condition()` holds; the deadline is only there to end a test that hangs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{condition} did not come true"
        time.sleep(0.005)
