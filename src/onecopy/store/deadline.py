"""How long an operation may still take."""

from __future__ import annotations

import time

from onecopy.errors import InvalidArgument


class Deadline:
    """A point in time, from a timeout in seconds: 0 is now, -1 (or None) is never."""

    __slots__ = ("_at",)

    def __init__(self, timeout: float | None) -> None:
        if timeout is not None and (not isinstance(timeout, (int, float)) or timeout != timeout):
            raise InvalidArgument(f"timeout must be a number of seconds, not {timeout!r}")
        if timeout is not None and timeout < 0 and timeout != -1:
            raise InvalidArgument(f"timeout must be 0, a number of seconds, or -1, not {timeout}")
        never = timeout is None or timeout == -1 or timeout == float("inf")
        self._at = None if never else time.monotonic() + (timeout or 0)

    @property
    def remaining(self) -> float | None:
        """Seconds left, at least 0; None if there is no end."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the time is up."""
        return self._at is not None and time.monotonic() >= self._at
