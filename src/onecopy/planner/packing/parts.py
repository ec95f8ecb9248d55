"""Problems of their own: what is left splits where no free buffer crosses from a section on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from onecopy.planner.packing.board import NONE, Board, Changes

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Part:
    """Free buffers that nothing connects to other free ones."""

    low: int
    """They are `order[low:high]` of a list that all parts share."""
    high: int
    first: int
    """Their sections are `[first, last)`."""
    last: int
    offset: int
    """What is placed next comes after this offset, and at it after this rank."""
    rank: int
    fail: int
    """The frame to go back to when there is no plan for it; or NONE."""
    next: Part | None
    """What is to be solved after it."""


class Parts:
    """Makes parts smaller, and splits them."""

    def __init__(self, board: Board, crowded: bool) -> None:
        self._board = board
        self._crowded = crowded
        self._order = list(range(len(board.grid)))

    def whole(self, ranks: Changes) -> Part:
        """Return the first part of a whole problem."""
        sections = self._board.grid.sections
        return self._split(Part(0, len(self._order), 0, sections, 0, NONE, NONE, None), ranks)

    def buffers(self, part: Part) -> list[int]:
        """Return the free buffers of a part, when it was made."""
        return self._order[part.low : part.high]

    def without(self, part: Part, buffer: int, fail: int, ranks: Changes) -> Part | None:
        """Return what to solve now that a part's buffer is placed; None if all is solved."""
        order, high = self._order, part.high - 1
        index = order.index(buffer, part.low, part.high)
        order[index], order[high] = order[high], order[index]
        if part.low == high:
            return part.next
        board = self._board
        part = replace(part, high=high, offset=board.offset, rank=board.last_rank, fail=fail)
        sections = board.sections[buffer]
        if 0 in board.crossing[sections[0] : sections[-1]]:
            return self._split(part, ranks)
        return part

    def _split(self, whole: Part, ranks: Changes) -> Part:
        sections = self._board.sections
        order = sorted(self.buffers(whole), key=lambda each: (sections[each][0], each))
        self._order[whole.low : whole.high] = order
        part = whole.next
        # From the last to the first, since each knows the next.
        for low, high, first, last in reversed(list(self._runs(whole))):
            part = replace(whole, low=low, high=high, first=first, last=last, next=part)
            if self._crowded:
                part = self._rank_crowded(part, ranks)
        assert part is not None  # A part has buffers.
        return part

    def _runs(self, whole: Part) -> Iterator[tuple[int, int, int, int]]:
        """Yield the bounds of parts: of the sorted buffers, and of their sections."""
        sections = self._board.sections
        low, first, last = whole.low, 0, 0
        for index, buffer in enumerate(self.buffers(whole), whole.low):
            begin = sections[buffer][0]
            if index > low and begin >= last:
                yield low, index, first, last
                low, last = index, 0
            if index == low:
                first = begin
            last = max(last, sections[buffer][-1] + 1)
        yield low, whole.high, first, last

    def _rank_crowded(self, part: Part, ranks: Changes) -> Part:
        """Rank the buffers of a part by the most that one of their sections still needs."""
        board = self._board
        needed = board.needed
        crowd = {
            buffer: max(needed[section] for section in board.sections[buffer])
            for buffer in self.buffers(part)
        }
        for rank, buffer in enumerate(sorted(crowd, key=lambda each: (-crowd[each], each))):
            ranks.append((buffer, board.rank[buffer]))
            board.rank[buffer] = rank
        return replace(part, rank=NONE)
