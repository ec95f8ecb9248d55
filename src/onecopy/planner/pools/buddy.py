"""Blocks of powers of two, split in halves and merged again."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import defaultdict
from typing import Any

from onecopy.planner.pools.pool import Block, Pool


class Buddy(Pool):
    """Every block of 2^k bytes is one half of a block of 2^(k+1); free halves merge.

    Knowlton, A fast storage allocator (1965). Allocating and freeing take a number of steps that
    grows with the logarithm of the sizes only. It starts empty, and grows as blocks are needed.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._end = 0
        self._free: defaultdict[int, list[int]] = defaultdict(list)  # size -> sorted offsets

    def _take(self, nbytes: int) -> tuple[int, int] | None:
        granted = max(1 << (nbytes - 1).bit_length(), self.alignment)
        size = self._smallest(granted)
        while size is None:
            if not self._grow(granted):
                return None
            size = self._smallest(granted)
        # The lowest address: high ones then become free, and can be trimmed.
        offset = self._free[size].pop(0)
        while size > granted:
            size //= 2
            insort(self._free[size], offset + size)
        return offset, granted

    def _give(self, block: Block) -> None:
        self._merge(block.offset, block.granted)

    def _merge(self, offset: int, size: int) -> None:
        while self._remove(size, offset ^ size):
            offset &= ~size
            size *= 2
        insort(self._free[size], offset)

    def _remove(self, size: int, offset: int) -> bool:
        """Take a block out of the free ones; False if it is none of them."""
        offsets = self._free[size]
        at = bisect_left(offsets, offset)
        if at == len(offsets) or offsets[at] != offset:
            return False
        del offsets[at]
        return True

    def _smallest(self, granted: int) -> int | None:
        return min((s for s, free in self._free.items() if free and s >= granted), default=None)

    def _grow(self, granted: int) -> bool:
        """Add a piece at the end: as large as its address allows, and at most what is wanted."""
        at = self._end
        size = min(at & -at, granted) if at else granted
        if at + size > self.capacity:
            return False
        self._end += size
        self._merge(at, size)
        return True

    def _trim(self) -> None:
        sizes = list(self._free)
        while size := next((s for s in sizes if self._remove(s, self._end - s)), None):
            self._end -= size
        if self._memory is not None:
            self._memory.discard(self._end, self._memory.nbytes)
            for size, offsets in self._free.items():
                for offset in offsets:
                    self._memory.discard(offset, offset + size)

    def _reserved(self) -> int:
        return self._end

    def _committed(self) -> int:
        return self._end
