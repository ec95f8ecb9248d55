"""What is to be packed."""

from __future__ import annotations

import bisect
import math
from functools import cached_property
from typing import TYPE_CHECKING

from onecopy.errors import InvalidProblem
from onecopy.planner.packing.buffer import LARGEST, Buffer
from onecopy.planner.packing.sections import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onecopy.planner.packing.sections import Sections


class Problem:
    """Buffers that are to share an arena; those that live at the same time, side by side.

        problem = Problem([Buffer("a", 32, 0, 2), Buffer("b", 40, 1, 3)])
        problem.lower_bound          # 72

    Raises:
        InvalidProblem: two buffers have one name, two that are fixed overlap, or the sizes add up
            to more than 2**60.
    """

    def __init__(self, buffers: Iterable[Buffer]) -> None:
        self.buffers = tuple(buffers)
        for each in self.buffers:
            if not isinstance(each, Buffer):
                raise InvalidProblem(f"a problem has planner.Buffer in it, not {each!r}")
        self._check_names()
        self._check_sum()
        self._check_fixed()

    def __len__(self) -> int:
        return len(self.buffers)

    def __repr__(self) -> str:
        return f"Problem({len(self)} buffers, {self.lower_bound} bytes at least)"

    @cached_property
    def sections(self) -> Sections:
        """The sections that its times fall into."""
        return cut(self.buffers, self.padding)

    @cached_property
    def padding(self) -> int:
        """What every offset is a multiple of, by the alignments and fixed offsets."""
        steps = (
            each.alignment if each.offset is None else each.offset
            for each in self.buffers
            if each.size
        )
        return math.gcd(*steps) or 1

    @cached_property
    def lower_bound(self) -> int:
        """Bytes that no plan can do without: the largest sum of sizes that live at one time.

        Where all alignments have a common divisor, sizes count as multiples of it, but for the
        highest buffer; and a fixed buffer needs the bytes below it.
        """
        fixed = (each.offset + each.size for each in self.buffers if each.offset and each.size)
        return max((*self.sections.needed, *fixed), default=0)

    @property
    def peak_time(self) -> int:
        """A time at which the most bytes are needed; 0 if there are no buffers."""
        sections = self.sections
        most = max(range(len(sections.needed)), key=sections.needed.__getitem__, default=None)
        return 0 if most is None else sections.times[most]

    def live_at(self, time: int) -> list[Buffer]:
        """Return the buffers that live at a time."""
        return [
            each
            for each in self.buffers
            if any(start <= time < end for start, end in each.intervals)
        ]

    def _check_names(self) -> None:
        if pair := find_same_names(self.buffers):
            name = self.buffers[pair[0]].name
            raise InvalidProblem(f"two buffers are named {name!r}; give each its own name")

    def _check_sum(self) -> None:
        # As an arena would be with all of them side by side.
        most = sum(each.size + each.alignment for each in self.buffers)
        if most + max((each.offset or 0 for each in self.buffers), default=0) > LARGEST:
            raise InvalidProblem("the sizes add up to more than 2**60; use a larger unit")

    def _check_fixed(self) -> None:
        if pair := find_overlap(self.buffers):
            one, other = (self.buffers[index].name for index in pair)
            raise InvalidProblem(
                f"buffers {one!r} and {other!r} are fixed where they overlap; "
                "move one, or leave its offset open"
            )


def find_same_names(buffers: Sequence[Buffer]) -> tuple[int, int] | None:
    """Return the indices of two buffers that have one name, if there are such."""
    if len({each.name for each in buffers}) == len(buffers):
        return None
    seen: dict[str, int] = {}
    for index, each in enumerate(buffers):
        if each.name in seen:
            return seen[each.name], index
        seen[each.name] = index
    return None


def find_overlap(buffers: Sequence[Buffer]) -> tuple[int, int] | None:
    """Return the indices of two buffers that are fixed where they overlap, if there are such.

    A sweep over time, with the fixed buffers that live, by offset. Those are apart, so that a
    buffer that begins to live has to be compared with its two neighbours only.
    """
    events = sorted(
        (time, kind, each.offset, index)
        for index, each in enumerate(buffers)
        if each.offset is not None and each.size
        for interval in each.intervals
        for kind, time in ((1, interval[0]), (0, interval[1]))
    )
    live: list[tuple[int, int]] = []
    for _, begins, offset, index in events:
        at = bisect.bisect_left(live, (offset, index))
        if not begins:
            del live[at]
            continue
        if at and live[at - 1][0] + buffers[live[at - 1][1]].size > offset:
            return live[at - 1][1], index
        if at < len(live) and offset + buffers[index].size > live[at][0]:
            return live[at][1], index
        live.insert(at, (offset, index))
    return None
