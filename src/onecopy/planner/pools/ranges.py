"""Free ranges of addresses: the smallest that is large enough, and neighbours that become one."""

from __future__ import annotations

from bisect import bisect_left, insort
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ranges:
    """The addresses [0, end), of which some are taken; `end` grows when nothing free is enough.

    Best fit, the lowest address among equals; free neighbours coalesce (Knuth, The Art of
    Computer Programming 1, 2.5, with ends as tags).
    """

    def __init__(self, capacity: int) -> None:
        self.end = 0
        self._capacity = capacity
        self._by_size: list[tuple[int, int]] = []
        self._starts: dict[int, int] = {}  # start -> end of each free range
        self._ends: dict[int, int] = {}  # and back

    def take(self, nbytes: int) -> int | None:
        """Return the start of `nbytes` addresses that are taken now; None if there are none."""
        at = bisect_left(self._by_size, (nbytes, 0))
        if at < len(self._by_size):
            size, start = self._by_size[at]
            self._remove(start)
            self._add(start + nbytes, start + size)
            return start
        return self._grow(nbytes)

    def give(self, start: int, nbytes: int) -> None:
        """Make addresses free that were taken."""
        end = start + nbytes
        if start in self._ends:
            start = self._remove(self._ends[start])
        if end in self._starts:
            following = self._starts[end]
            self._remove(end)
            end = following
        self._add(start, end)

    def shrink(self) -> None:
        """Cut the free range at the end off, if there is one."""
        if self.end in self._ends:
            self.end = self._remove(self._ends[self.end])

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Iterate over the free ranges, as (start, end)."""
        return iter(sorted(self._starts.items()))

    def _grow(self, nbytes: int) -> int | None:
        start = self._ends.get(self.end, self.end)  # A free range at the end is a part of it.
        if start + nbytes > self._capacity:
            return None
        if start != self.end:
            self._remove(start)
        self.end = start + nbytes
        return start

    def _add(self, start: int, end: int) -> None:
        if start < end:
            self._starts[start] = end
            self._ends[end] = start
            insort(self._by_size, (end - start, start))

    def _remove(self, start: int) -> int:
        end = self._starts.pop(start)
        del self._ends[end]
        del self._by_size[bisect_left(self._by_size, (end - start, start))]
        return start
