"""One arena: each block goes into the smallest free range that is large enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy.planner.pools.pool import Block, Pool
from onecopy.planner.pools.ranges import Ranges

if TYPE_CHECKING:
    from onecopy.planner.pools.memory import Memory


class BestFit(Pool):
    """An arena in which freed neighbours coalesce: sizes may be anything, and drift.

    pool = BestFit(capacity="1GiB")
    block = pool.allocate(1000)
    pool.free(block)
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._ranges = Ranges(self.capacity)

    def _take(self, nbytes: int) -> tuple[int, int] | None:
        granted = self._round(nbytes)
        offset = self._ranges.take(granted)
        return None if offset is None else (offset, granted)

    def _give(self, block: Block) -> None:
        self._ranges.give(block.offset, block.granted)

    def _trim(self) -> None:
        release(self._ranges, self._memory)

    def _reserved(self) -> int:
        return self._ranges.end

    def _committed(self) -> int:
        return self._ranges.end


def release(ranges: Ranges, memory: Memory | None) -> None:
    """Shrink an arena to its last taken byte, and give the pages of its free ranges back."""
    if memory is not None:
        for start, end in ranges:
            # Nothing lies behind the last range: the rest of its last page goes too.
            memory.discard(start, memory.nbytes if end == ranges.end else end)
    ranges.shrink()
