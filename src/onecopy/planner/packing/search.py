"""The exact search: goes through all plans below a capacity, but for those that cannot be better.

The idea of canonical plans, of bounds by section and of dominance is that of MiniMalloc (Moffitt,
"MiniMalloc: A Lightweight Memory Allocator for Hardware-Accelerated Machine Learning", ASPLOS
2023). The witnesses are ours, after the watched literals of SAT solvers.

**Canonical plans.** Push every buffer of a plan down until it lies on another one or on the ground;
the peak does not rise. So only such plans are gone through, and each only once: buffers are placed
in the order of their offsets (then of a rank), each at the lowest offset that those already placed
leave it. A free buffer whose turn has gone by was *passed*: it is placed only after a neighbour has
moved it up.

**Limit.** A buffer is never tried where some free one would fit completely below: that one would
not be canonical any more.

**Sections.** The free buffers of a section lie one above the other, and above the lowest place that
one of them can still have. If that is too high, the plan is given up. The lowest place is not
computed: a *witness* is enough, one buffer that is low enough. Only when that one is placed, passed
or moved up another one has to be looked for.

**Parts.** Where no free buffer crosses from a section to the next, both sides are problems of their
own. A side that has no plan ends the other side's search too.

`native/packing.c` has the same steps, visits the same nodes, and is about 100 times faster.
"""

from __future__ import annotations

import enum
import itertools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from onecopy.planner.packing.grid import FREE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.planner.packing.grid import Grid

NONE = -1


class Status(enum.IntEnum):
    """How a search stands."""

    RUNNING = 0
    FOUND = 1
    EXHAUSTED = 2
    """There is no plan within the capacity."""


@dataclass(frozen=True)
class Part:
    """Free buffers that nothing connects to other free ones: a problem of its own."""

    low: int
    """They are `order[low:high]`."""
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


class Frame:
    """One step of the search: buffers of a part, tried in turn."""

    def __init__(self, part: Part, limit: int) -> None:
        self.part = part
        self.limit = limit
        self.offset, self.rank, self.buffer = part.offset, part.rank, NONE
        self.placed = False
        self.last = False
        """If this one fails, all others do."""
        self.moves: list[tuple[int, int]] = []
        self.watches: list[tuple[int, int]] = []
        self.ranks: list[tuple[int, int]] = []
        """What placing it changed, with the values before."""


class Search:
    """A search for a plan of at most `capacity` bytes, a number of nodes at a time.

    With `crowded`, ties are broken for buffers where most is still to be placed, then by their
    order in the grid; otherwise by their order alone.
    """

    def __init__(self, grid: Grid, capacity: int, crowded: bool = False) -> None:
        count = len(grid)
        self.nodes = 0
        """How many buffers were placed, whatever came of it."""
        self.status = Status.RUNNING
        self._grid = grid
        self._crowded = crowded
        self._highest = grid.highest(capacity)
        self._ceiling = grid.ceiling(capacity)
        self._sections = [[s for span in spans for s in range(*span)] for spans in grid.spans]
        self._contents: list[list[int]] = [[] for _ in range(grid.sections)]
        self._at = [0 if each == FREE else each for each in grid.fixed]
        self._placed = [False] * count
        self._rank = list(range(count))
        self._needed = [0] * grid.sections
        self._crossing = [0] * grid.sections
        self._witness = [NONE] * grid.sections
        self._watched: list[set[int]] = [set() for _ in range(count)]
        self._order = list(range(count))
        self._frames: list[Frame] = []
        self._offset, self._last_rank = 0, NONE
        self._start()

    def run(self, nodes: int) -> Status:
        """Go on for so many nodes; return how it stands."""
        end = self.nodes + nodes
        while self.status == Status.RUNNING and self.nodes < end:
            self._step()
        return self.status

    def offsets(self) -> list[int]:
        """Return the plan that was found, in units."""
        return self._at

    def _start(self) -> None:
        for buffer, sections in enumerate(self._sections):
            for section in sections:
                self._contents[section].append(buffer)
            self._count(buffer, 1)
        high = any(at > highest for at, highest in zip(self._at, self._highest, strict=True))
        if high or not all(map(self._check_section, range(self._grid.sections), _nowhere())):
            self.status = Status.EXHAUSTED
        elif not self._order:
            self.status = Status.FOUND
        else:
            whole = Part(0, len(self._order), 0, self._grid.sections, 0, NONE, NONE, None)
            self._enter(self._split(whole, []))

    def _step(self) -> None:
        frame = self._frames[-1]
        if frame.last or not self._choose(frame):
            self._give_up()
            return
        self.nodes += 1
        if not self._place(frame):
            self._undo(frame)
            return
        part = self._remaining(frame)
        if part is None:
            self.status = Status.FOUND
        else:
            self._enter(part)

    def _enter(self, part: Part) -> None:
        at, sizes, fixed = self._at, self._grid.sizes, self._grid.fixed
        limit = min(
            at[buffer] + (sizes[buffer] if fixed[buffer] == FREE else 1)
            for buffer in self._order[part.low : part.high]
        )
        self._frames.append(Frame(part, limit))

    def _choose(self, frame: Frame) -> bool:
        """Choose the lowest buffer after the last one tried; say whether there is one."""
        at, rank = self._at, self._rank
        least = frame.offset
        turn, best, chosen = (least, frame.rank), (frame.limit, NONE), NONE
        for buffer in self._order[frame.part.low : frame.part.high]:
            # The first comparison is not needed, but fast.
            if least <= at[buffer] <= best[0] and turn < (its := (at[buffer], rank[buffer])) < best:
                best, chosen = its, buffer
        frame.offset, frame.rank = best
        frame.buffer = chosen
        return chosen != NONE

    def _give_up(self) -> None:
        """Go back to where the part came from: there is no plan for it."""
        fail = self._frames[-1].part.fail
        while len(self._frames) - 1 > fail:
            self._undo(self._frames.pop())
        if fail == NONE:
            self.status = Status.EXHAUSTED
        else:
            self._undo(self._frames[fail])

    # Placing

    def _place(self, frame: Frame) -> bool:
        """Place the frame's buffer; say whether all others may still fit."""
        frame.placed = frame.last = True
        self._placed[frame.buffer] = True
        self._offset, self._last_rank = frame.offset, frame.rank
        self._count(frame.buffer, -1)
        return (
            self._move_neighbours(frame)
            and self._check_part(frame.part)
            and all(self._check_section(each, frame) for each in self._sections[frame.buffer])
            and all(self._check_watched(each, frame) for each, _ in frame.moves)
            and self._check_passed(frame)
        )

    def _undo(self, frame: Frame) -> None:
        if not frame.placed:
            return
        for section, before in reversed(frame.watches):
            self._watch(section, before)
        for buffer, offset in reversed(frame.moves):
            self._at[buffer] = offset
        for buffer, rank in reversed(frame.ranks):
            self._rank[buffer] = rank
        self._count(frame.buffer, 1)
        self._placed[frame.buffer] = frame.placed = False
        frame.watches, frame.moves, frame.ranks = [], [], []

    def _count(self, buffer: int, sign: int) -> None:
        size = sign * self._grid.sizes[buffer]
        sections, needed, crossing = self._sections[buffer], self._needed, self._crossing
        for section in sections:
            needed[section] += size
        for section in range(sections[0], sections[-1]):
            crossing[section] += sign

    def _move_neighbours(self, frame: Frame) -> bool:
        """Move free neighbours above the frame's buffer; say whether they may be there."""
        top = frame.offset + self._grid.sizes[frame.buffer]
        at, placed = self._at, self._placed
        for buffer in self._grid.neighbours[frame.buffer]:
            if at[buffer] >= top or placed[buffer]:
                continue
            # Had it moved nobody, it would be in nobody's way: any plan could have it here.
            frame.last = False
            step = self._grid.steps[buffer]
            offset = -(-top // step) * step
            if self._grid.fixed[buffer] != FREE or offset > self._highest[buffer]:
                return False
            frame.moves.append((buffer, at[buffer]))
            at[buffer] = offset
        return True

    # Sections

    def _check_part(self, part: Part) -> bool:
        """Nothing is placed lower than the last buffer from now on: say whether that can be."""
        if self._offset == part.offset:
            return True
        return self._offset + max(self._needed[part.first : part.last]) <= self._ceiling

    def _check_section(self, section: int, frame: Frame | None) -> bool:
        """Say whether the free buffers of a section may still fit above its lowest one."""
        if not self._needed[section] or self._is_witness(self._witness[section], section):
            return True
        for buffer in self._contents[section]:
            if self._is_witness(buffer, section):
                if frame is not None:
                    frame.watches.append((section, self._witness[section]))
                self._watch(section, buffer)
                return True
        return False

    def _check_watched(self, buffer: int, frame: Frame) -> bool:
        return all(self._check_section(each, frame) for each in tuple(self._watched[buffer]))

    def _check_passed(self, frame: Frame) -> bool:
        for buffer in self._order[frame.part.low : frame.part.high]:
            if (
                self._watched[buffer]
                and not self._placed[buffer]
                and self._is_passed(buffer)
                and not self._check_watched(buffer, frame)
            ):
                return False
        return True

    def _is_witness(self, buffer: int, section: int) -> bool:
        if buffer == NONE or self._placed[buffer]:
            return False
        # Its floor is not below its offset: that alone may decide.
        room = self._ceiling - self._needed[section]
        return self._at[buffer] <= room and self._floor(buffer) <= room

    def _is_passed(self, buffer: int) -> bool:
        at = self._at[buffer]
        return at < self._offset or (at == self._offset and self._rank[buffer] <= self._last_rank)

    def _floor(self, buffer: int) -> int:
        """Return an offset that a free buffer will not be below.

        One that was passed is moved up by a neighbour first, which is not below the last buffer.
        """
        if not self._is_passed(buffer):
            return self._at[buffer]
        at, placed, sizes, last = self._at, self._placed, self._grid.sizes, self._offset
        least = self._ceiling + 1
        for other in self._grid.neighbours[buffer]:
            if not placed[other]:
                end = (at[other] if at[other] > last else last) + sizes[other]
                if end < least:
                    least = end
        return least

    def _watch(self, section: int, buffer: int) -> None:
        if self._witness[section] != NONE:
            self._watched[self._witness[section]].discard(section)
        self._witness[section] = buffer
        if buffer != NONE:
            self._watched[buffer].add(section)

    # Parts

    def _remaining(self, frame: Frame) -> Part | None:
        """Return the part to solve now that the frame's buffer is placed; None if all are."""
        part, order = frame.part, self._order
        index, high = order.index(frame.buffer, part.low, part.high), part.high - 1
        order[index], order[high] = order[high], order[index]
        if part.low == high:
            return part.next
        part = replace(
            part,
            high=high,
            offset=frame.offset,
            rank=frame.rank,
            fail=len(self._frames) - 1,
        )
        sections = self._sections[frame.buffer]
        if 0 in self._crossing[sections[0] : sections[-1]]:
            return self._split(part, frame.ranks)
        return part

    def _split(self, whole: Part, ranks: list[tuple[int, int]]) -> Part:
        """Split what is left of a part where no free buffer crosses; return the first of them."""
        sections = self._sections
        order = sorted(
            self._order[whole.low : whole.high], key=lambda each: (sections[each][0], each)
        )
        self._order[whole.low : whole.high] = order
        bounds = [(whole.low, sections[order[0]][0])]
        last = 0
        for index, buffer in enumerate(order, whole.low):
            if index > whole.low and sections[buffer][0] >= last:
                bounds.append((index, sections[buffer][0]))
            last = max(last, sections[buffer][-1] + 1)
        part = whole.next
        high = whole.high
        # From the last to the first, since each knows the next.
        for low, first in reversed(bounds):
            part = replace(whole, low=low, high=high, first=first, last=last, next=part)
            if self._crowded:
                part = self._rank_crowded(part, ranks)
            high = low
            last = first
        assert part is not None
        return part

    def _rank_crowded(self, part: Part, ranks: list[tuple[int, int]]) -> Part:
        needed = self._needed
        crowd = {
            buffer: max(needed[section] for section in self._sections[buffer])
            for buffer in self._order[part.low : part.high]
        }
        for rank, buffer in enumerate(sorted(crowd, key=lambda each: (-crowd[each], each))):
            ranks.append((buffer, self._rank[buffer]))
            self._rank[buffer] = rank
        return replace(part, rank=NONE)


def _nowhere() -> Iterator[None]:
    """At the start, nothing is ever undone."""
    return itertools.repeat(None)
