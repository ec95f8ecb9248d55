"""A slot of the upper bound for every block: stable addresses, and only touched pages cost."""

from __future__ import annotations

from typing import Any

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.planner.pools.pool import Block, Pool
from onecopy.segments.region import PAGE
from onecopy.units import format_size, parse_size


class Bound(Pool):
    """Slots of `bound` bytes, of which a block commits the pages that its actual size needs.

    Reserving the bound costs addresses, which are plenty. A freed slot's pages are given back, so
    the next block in it begins with zeros, not with the tail of a longer one. `page` is
    what memory is committed in; in real memory that is the system's page.
    """

    def __init__(self, bound: int | str, *, page: int = PAGE, **options: Any) -> None:
        super().__init__(alignment=page, **options)
        if self._memory is not None and page % PAGE:
            raise InvalidArgument(f"memory is committed in pages of {PAGE} bytes, not of {page}")
        self.bound = parse_size(bound)
        self._slot = self._round(self.bound)
        self._end = 0
        self._pages = 0
        self._free: list[int] = []

    def _take(self, nbytes: int) -> tuple[int, int] | None:
        if nbytes > self.bound:
            raise BudgetExceeded(
                f"a block of {format_size(nbytes)} does not fit into a slot of "
                f"{format_size(self.bound)}; raise `bound`"
            )
        if not self._free:
            if self._end + self._slot > self.capacity:
                return None
            self._free.append(self._end)
            self._end += self._slot
        self._pages += self._round(nbytes)
        return self._free.pop(), self._slot

    def _give(self, block: Block) -> None:
        used = self._round(max(block.nbytes, 1))
        self._pages -= used
        if self._memory is not None:
            self._memory.discard(block.offset, block.offset + used)
        self._free.append(block.offset)

    def _trim(self) -> None:
        free = set(self._free)
        while self._end - self._slot in free:
            self._end -= self._slot
        self._free = [offset for offset in self._free if offset < self._end]

    def _reserved(self) -> int:
        return self._end

    def _committed(self) -> int:
        return self._pages
