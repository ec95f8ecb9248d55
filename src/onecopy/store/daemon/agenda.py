"""Entries in the order of a time."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from onecopy.store.daemon.books import Entry

_SMALL: Final = 1024


class Agenda:
    """A heap of entries, the soonest first. Those that are gone are skipped, and swept out.

    Gone entries would leave when they come up, which may be never: in a store that has room,
    or with a long ttl. So whenever the heap has doubled, what is gone is dropped.
    """

    def __init__(self) -> None:
        self._items: list[tuple[float, int, Entry, Any]] = []
        self._sequence = itertools.count()
        self._limit = _SMALL

    def push(self, when: float, entry: Entry, note: Any = None) -> None:
        """Put an entry at a time, and a note with it."""
        if len(self._items) >= self._limit:
            self._items = [item for item in self._items if item[2].present]
            heapq.heapify(self._items)
            self._limit = max(_SMALL, 2 * len(self._items))
        heapq.heappush(self._items, (when, next(self._sequence), entry, note))

    @property
    def soonest(self) -> float | None:
        """When the next entry is due, which may be gone by now; None if there is none."""
        return self._items[0][0] if self._items else None

    def pop(self, until: float = float("inf")) -> tuple[float, Entry, Any] | None:
        """Take the soonest entry that still exists and is due `until` then, or return None."""
        while self._items and self._items[0][0] <= until:
            when, _, entry, note = heapq.heappop(self._items)
            if entry.present:
                return when, entry, note
        return None
