"""What a search has placed so far, and what that leaves to the others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.planner.packing.grid import FREE

if TYPE_CHECKING:
    from onecopy.planner.packing.grid import Grid

NONE = -1
"""No buffer, no rank, no frame."""

Changes = list[tuple[int, int]]
"""What was changed, with the value before; in order."""


class Board:
    """The state of a search; lists have one item for each buffer, or for each section."""

    def __init__(self, grid: Grid, capacity: int) -> None:
        self.grid = grid
        self.highest = grid.highest(capacity)
        self.ceiling = grid.ceiling(capacity)
        self.sections = [[s for span in spans for s in range(*span)] for spans in grid.spans]
        self.at = [0 if each == FREE else each for each in grid.fixed]
        """Where each buffer is, or would be placed now."""
        self.placed = [False] * len(grid)
        self.rank = list(range(len(grid)))
        """Breaks ties between buffers at one offset."""
        self.needed = [0] * grid.sections
        """The units that the free buffers of each section take."""
        self.crossing = [0] * grid.sections
        """How many free buffers cross from each section to the next."""
        self.offset, self.last_rank = 0, NONE
        """Of the buffer that was placed last."""
        for buffer in range(len(grid)):
            self._count(buffer, 1)

    def place(self, buffer: int, offset: int, rank: int) -> None:
        """Place a buffer; its neighbours stay where they are."""
        self.placed[buffer] = True
        self.offset, self.last_rank = offset, rank
        self._count(buffer, -1)

    def take_back(self, buffer: int) -> None:
        """Undo `place`."""
        self.placed[buffer] = False
        self._count(buffer, 1)

    def move_neighbours(self, buffer: int, moves: Changes) -> bool:
        """Move the free neighbours of a placed buffer above it; say whether they may be there."""
        top = self.at[buffer] + self.grid.sizes[buffer]
        at, placed = self.at, self.placed
        for other in self.grid.neighbours[buffer]:
            if at[other] >= top or placed[other]:
                continue
            moves.append((other, at[other]))
            step = self.grid.steps[other]
            offset = -(-top // step) * step
            if self.grid.fixed[other] != FREE or offset > self.highest[other]:
                return False
            at[other] = offset
        return True

    def is_passed(self, buffer: int) -> bool:
        """Say whether a free buffer's turn at its offset has gone by."""
        at = self.at[buffer]
        return at < self.offset or (at == self.offset and self.rank[buffer] <= self.last_rank)

    def floor(self, buffer: int) -> int:
        """Return an offset that a free buffer will not be below.

        One that was passed is moved up by a neighbour first, which is not below the last buffer.
        """
        if not self.is_passed(buffer):
            return self.at[buffer]
        at, placed, sizes, last = self.at, self.placed, self.grid.sizes, self.offset
        least = self.ceiling + 1
        for other in self.grid.neighbours[buffer]:
            if not placed[other]:
                end = (at[other] if at[other] > last else last) + sizes[other]
                if end < least:
                    least = end
        return least

    def _count(self, buffer: int, sign: int) -> None:
        size = sign * self.grid.sizes[buffer]
        sections, needed, crossing = self.sections[buffer], self.needed, self.crossing
        for section in sections:
            needed[section] += size
        for section in range(sections[0], sections[-1]):
            crossing[section] += sign


def restore(values: list[int], changes: Changes) -> None:
    """Undo changes of a list, the last first."""
    for index, before in reversed(changes):
        values[index] = before
    changes.clear()
