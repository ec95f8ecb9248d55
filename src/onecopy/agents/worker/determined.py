"""A run's time and randomness: from its start and its host's answers only, so they repeat."""

from __future__ import annotations

import hashlib
from typing import Final

_START_NS: Final = 1_000_000_000
"""What the guest's monotonic clock shows at first."""


class Clock:
    """Stands still while the guest computes; answers of the host and sleeps move it on."""

    def __init__(self, time_ns: int) -> None:
        self._started = self._now = time_ns

    @property
    def now_ns(self) -> int:
        """Nanoseconds since 1970."""
        return self._now

    @property
    def monotonic_ns(self) -> int:
        """Nanoseconds since shortly before the run."""
        return self._now - self._started + _START_NS

    def set(self, time_ns: int) -> None:
        """Move it to a time, unless that has passed."""
        self._now = max(self._now, time_ns)

    def sleep(self, nanoseconds: int) -> None:
        """Move it on."""
        self._now += nanoseconds


class Stream:
    """Random bytes that follow from a seed: SHAKE-256 of the seed and a count."""

    _BLOCK: Final = 4096

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._blocks = 0
        self._rest = b""

    def take(self, nbytes: int) -> bytes:
        """Return the next bytes."""
        parts = [self._rest]
        missing = nbytes - len(self._rest)
        while missing > 0:
            parts.append(self._next())
            missing -= self._BLOCK
        data = b"".join(parts)
        self._rest = data[nbytes:]
        return data[:nbytes]

    def _next(self) -> bytes:
        self._blocks += 1
        key = hashlib.shake_256(self._seed + self._blocks.to_bytes(8, "little"))
        return key.digest(self._BLOCK)
