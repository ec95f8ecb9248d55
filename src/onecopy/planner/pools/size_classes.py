"""Blocks of a few sizes: a freed one waits for the next request of its class."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from onecopy.errors import InvalidArgument
from onecopy.planner.pools.best_fit import release
from onecopy.planner.pools.pool import Block, Pool
from onecopy.planner.pools.ranges import Ranges


class SizeClasses(Pool):
    """Sizes are rounded up to a class: powers of two, or `steps` to each doubling.

    At most half of a block is lost with one step, a fifth with four; the lists of free blocks
    grow with the number of classes. `trim()` gives waiting blocks back.
    """

    def __init__(self, *, steps: int = 1, **options: Any) -> None:
        super().__init__(**options)
        if steps < 1 or steps & (steps - 1):
            raise InvalidArgument(f"a doubling has 1, 2, 4, 8, … steps, not {steps}")
        self._steps = steps
        self._ranges = Ranges(self.capacity)
        self._waiting: defaultdict[int, list[int]] = defaultdict(list)
        self._held = 0

    def size_class(self, nbytes: int) -> int:
        """Return the size of the block that a request is given."""
        lower = 1 << max((nbytes - 1).bit_length() - 1, 0)  # lower < nbytes <= 2 * lower
        step = max(lower // self._steps, self.alignment)
        return -(-nbytes // step) * step

    def _take(self, nbytes: int) -> tuple[int, int] | None:
        granted = self.size_class(nbytes)
        if waiting := self._waiting[granted]:
            return waiting.pop(), granted
        offset = self._ranges.take(granted)
        if offset is None:
            return None
        self._held += granted
        return offset, granted

    def _give(self, block: Block) -> None:
        # The one that was freed last is used first: its pages are most likely in the caches.
        self._waiting[block.granted].append(block.offset)

    def _trim(self) -> None:
        for granted, offsets in self._waiting.items():
            self._held -= granted * len(offsets)
            for offset in offsets:
                self._ranges.give(offset, granted)
        self._waiting.clear()
        release(self._ranges, self._memory)

    def _reserved(self) -> int:
        return self._ranges.end

    def _committed(self) -> int:
        return self._held
