"""The touch segment: when each slot's entry was last loaded, and how often.

Clients write it, so nothing depends on it but the order of eviction, ttl and what `top` shows.
Two u64 for each slot: CLOCK_MONOTONIC nanoseconds of the last load, and the number of loads.
"""

from __future__ import annotations

import mmap
import os
import time

from onecopy.segments import region
from onecopy.store.index.layout import TOUCH_SIZE


class Touches:
    """The daemon's view of the touch segment."""

    def __init__(self, slots: int) -> None:
        self.size = slots * TOUCH_SIZE
        self.fd = region.create("onecopy-touches", self.size)
        region.seal(self.fd, mutable=True)
        os.fchmod(self.fd, 0o600)
        self._words = memoryview(mmap.mmap(self.fd, self.size)).cast("Q")

    def last_used(self, slot: int) -> int:
        """Return when the entry was last loaded, in ns, and never a time to come."""
        return min(self._words[2 * slot], time.monotonic_ns())

    def hits(self, slot: int) -> int:
        """Return how often the entry was loaded."""
        return self._words[2 * slot + 1]

    def clear(self, slot: int) -> None:
        """Note that the entry has not been loaded yet, since this daemon began."""
        self._words[2 * slot] = 0

    def reset(self, slot: int) -> None:
        """Begin anew, for a new entry."""
        self._words[2 * slot] = time.monotonic_ns()
        self._words[2 * slot + 1] = 0

    def moved_to(self, slots: int) -> Touches:
        """Copy everything to a segment for `slots`, and let go of this one."""
        new = Touches(slots)
        new._words[: len(self._words)] = self._words
        os.close(self.fd)
        return new
