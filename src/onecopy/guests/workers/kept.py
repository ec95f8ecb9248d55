"""How many descriptors a worker keeps: with too many it would lose those of the next message."""

from __future__ import annotations

import resource
import threading
from typing import TYPE_CHECKING, Final

from onecopy.errors import LimitReached
from onecopy.guests.workers.sandbox import OPEN_FILES

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

# What it opens itself, what belongs to batches, and what comes with one message.
_SPARE: Final = 600


class Kept:
    """Counts by what they are kept for; for several threads."""

    def __init__(self) -> None:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        files = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
        self.limit = max(files - _SPARE, files // 4)
        self._counts: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    def add(self, counts: Mapping[Hashable, int]) -> None:
        """Note that it is to keep so many more; all of them, or none.

        Raises:
            LimitReached: it would have too many.
        """
        with self._lock:
            if sum(self._counts.values()) + sum(counts.values()) > self.limit:
                raise LimitReached(
                    f"a worker has room for {self.limit} segments of windows and streams; close "
                    "guests, show several tensors of one entry, or give the pool more workers"
                )
            self._counts.update({name: count for name, count in counts.items() if count})

    def remove(self, *names: Hashable) -> None:
        """Note that it keeps some no more; what is not known is ignored."""
        with self._lock:
            for name in names:
                self._counts.pop(name, None)

    def __len__(self) -> int:
        with self._lock:
            return sum(self._counts.values())
