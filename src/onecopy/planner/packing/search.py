"""The exact search: goes through all plans below a capacity, but for those that cannot be better.

The idea of canonical plans, of bounds by section, of parts and of dominance is that of MiniMalloc
(Moffitt, "MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine Learning",
ASPLOS 2023). Witnesses, floors of passed buffers and ranks by part are ours.

**Canonical plans.** Push every buffer of a plan down until it lies on another one or on the ground;
the peak does not rise. So only such plans are gone through, and each only once: buffers are placed
in the order of their offsets (then of a rank), each at the lowest offset that those already placed
leave it. A free buffer whose turn has gone by was *passed*: it is placed only after a neighbour has
moved it up.

**Limit.** A buffer is never tried where some free one would fit completely below: that one would
not be canonical any more.

**Sections.** The free buffers of a section lie one above the other, and above the lowest place that
one of them can still have. If that is too high, the plan is given up (`witnesses.py`).

**Parts.** Where no free buffer crosses from a section to the next, both sides are problems of their
own (`parts.py`). A side that has no plan ends the other side's search too.

`native/packing.c` has the same steps, visits the same nodes, and is some 40 times faster.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from onecopy.planner.packing.board import NONE, Board, Changes, restore
from onecopy.planner.packing.grid import FREE
from onecopy.planner.packing.parts import Part, Parts
from onecopy.planner.packing.witnesses import Witnesses

if TYPE_CHECKING:
    from onecopy.planner.packing.grid import Grid


class Status(enum.IntEnum):
    """How a search stands."""

    RUNNING = 0
    FOUND = 1
    EXHAUSTED = 2
    """There is no plan within the capacity."""


class _Frame:
    """One step of the search: buffers of a part, tried in turn."""

    def __init__(self, part: Part, limit: int) -> None:
        self.part = part
        self.limit = limit
        """What is tried has to be below it."""
        self.offset, self.rank, self.buffer = part.offset, part.rank, NONE
        """The last one tried."""
        self.placed = False
        self.last = False
        """If this one fails, all others do."""
        self.moves: Changes = []
        self.watches: Changes = []
        self.ranks: Changes = []
        """What placing it changed."""


class Search:
    """A search for a plan of at most `capacity` bytes, a number of nodes at a time.

    With `crowded`, ties are broken for buffers where most is still to be placed, then by their
    order in the grid; otherwise by their order alone.
    """

    def __init__(self, grid: Grid, capacity: int, crowded: bool = False) -> None:
        self.nodes = 0
        """How many buffers were placed, whatever came of it."""
        self.status = Status.RUNNING
        self._board = Board(grid, capacity)
        self._witnesses = Witnesses(self._board)
        self._parts = Parts(self._board, crowded)
        self._frames: list[_Frame] = []
        self._start()

    def run(self, nodes: int) -> Status:
        """Go on for so many nodes; return how it stands."""
        end = self.nodes + nodes
        while self.status == Status.RUNNING and self.nodes < end:
            self._step()
        return self.status

    def offsets(self) -> list[int]:
        """Return the plan that was found, in units."""
        return self._board.at

    def _start(self) -> None:
        board = self._board
        high = any(at > highest for at, highest in zip(board.at, board.highest, strict=True))
        if high or not self._witnesses.check(range(board.grid.sections), []):
            self.status = Status.EXHAUSTED
        elif not board.at:
            self.status = Status.FOUND
        else:
            self._enter(self._parts.whole([]))

    def _step(self) -> None:
        frame = self._frames[-1]
        if frame.last or not self._choose(frame):
            self._give_up()
            return
        self.nodes += 1
        if not self._place(frame):
            self._undo(frame)
            return
        part = self._parts.without(frame.part, frame.buffer, len(self._frames) - 1, frame.ranks)
        if part is None:
            self.status = Status.FOUND
        else:
            self._enter(part)

    def _enter(self, part: Part) -> None:
        at, grid = self._board.at, self._board.grid
        limit = min(
            at[buffer] + (grid.sizes[buffer] if grid.fixed[buffer] == FREE else 1)
            for buffer in self._parts.buffers(part)
        )
        self._frames.append(_Frame(part, limit))

    def _choose(self, frame: _Frame) -> bool:
        """Choose the lowest buffer after the last one tried; say whether there is one."""
        at, rank = self._board.at, self._board.rank
        least = frame.offset
        turn, best, chosen = (least, frame.rank), (frame.limit, NONE), NONE
        for buffer in self._parts.buffers(frame.part):
            # The first comparison is not needed, but fast.
            if least <= at[buffer] <= best[0] and turn < (its := (at[buffer], rank[buffer])) < best:
                best, chosen = its, buffer
        frame.offset, frame.rank = best
        frame.buffer = chosen
        return chosen != NONE

    def _place(self, frame: _Frame) -> bool:
        """Place the frame's buffer; say whether all others may still fit."""
        board, witnesses, watches = self._board, self._witnesses, frame.watches
        frame.placed = True
        board.place(frame.buffer, frame.offset, frame.rank)
        fits = board.move_neighbours(frame.buffer, frame.moves)
        # Where it moves nobody, it is in nobody's way: any plan could have it here.
        frame.last = not frame.moves
        return (
            fits
            and self._check_order(frame.part)
            and witnesses.check(board.sections[frame.buffer], watches)
            and all(witnesses.check_watched(moved, watches) for moved, _ in frame.moves)
            and all(
                witnesses.check_watched(buffer, watches)
                for buffer in self._parts.buffers(frame.part)
                if not board.placed[buffer] and board.is_passed(buffer)
            )
        )

    def _check_order(self, part: Part) -> bool:
        """Nothing is placed lower than the last buffer from now on: say whether that can be."""
        board = self._board
        if board.offset == part.offset:
            return True
        return board.offset + max(board.needed[part.first : part.last]) <= board.ceiling

    def _undo(self, frame: _Frame) -> None:
        if not frame.placed:
            return
        frame.placed = False
        self._witnesses.undo(frame.watches)
        restore(self._board.at, frame.moves)
        restore(self._board.rank, frame.ranks)
        self._board.take_back(frame.buffer)

    def _give_up(self) -> None:
        """Go back to where the part came from: there is no plan for it."""
        fail = self._frames[-1].part.fail
        while len(self._frames) - 1 > fail:
            self._undo(self._frames.pop())
        if fail == NONE:
            self.status = Status.EXHAUSTED
        else:
            self._undo(self._frames[fail])
