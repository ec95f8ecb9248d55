"""Dying at a chosen system call."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any


def kill_at(step: int, within: Callable[[Any], bool]) -> None:
    """Kill this process at its call number `step` into the system below frames of `within`."""
    inside = calls = 0

    def profile(frame: Any, event: str, function: Any) -> None:
        nonlocal inside, calls
        if event in ("call", "return") and within(frame.f_code):
            inside += 1 if event == "call" else -1
        elif event == "c_call" and inside and _is_system(function):
            calls += 1
            if calls == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(profile)


def _is_system(function: Any) -> bool:
    owner = getattr(function, "__self__", None)
    return function.__module__ == "posix" or type(owner).__module__ in ("socket", "_socket")
