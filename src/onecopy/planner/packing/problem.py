"""What is to be packed."""

from __future__ import annotations

import bisect
import math
from functools import cached_property
from typing import TYPE_CHECKING

from onecopy.errors import InvalidProblem
from onecopy.planner.packing.buffer import LARGEST
from onecopy.planner.packing.sections import cut

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onecopy.planner.packing.buffer import Buffer
    from onecopy.planner.packing.sections import Sections


class Problem:
    """Buffers that are to share an arena; those that live at the same time, side by side.

        problem = Problem([Buffer("a", 32, 0, 2), Buffer("b", 40, 1, 3)])
        problem.lower_bound          # 72

    Raises:
        InvalidProblem: two buffers have one name, two that are fixed overlap, or the sizes add up
            to more than 2**62.
    """

    def __init__(self, buffers: Iterable[Buffer]) -> None:
        self.buffers = tuple(buffers)
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
        if len({each.name for each in self.buffers}) == len(self.buffers):
            return
        seen: set[str] = set()
        for each in self.buffers:
            if each.name in seen:
                raise InvalidProblem(f"two buffers are named {each.name!r}; give each its own name")
            seen.add(each.name)

    def _check_sum(self) -> None:
        # As an arena would be with all of them side by side.
        most = sum(each.size + each.alignment for each in self.buffers)
        if most + max((each.offset or 0 for each in self.buffers), default=0) > LARGEST:
            raise InvalidProblem("the sizes add up to more than 2**62; use a larger unit")

    def _check_fixed(self) -> None:
        """Sweep over time with the fixed buffers that live, by offset: neighbours must not touch.

        Each one is compared with the next lower and the next higher one when it starts. That is
        enough, since those that live already are apart.
        """
        fixed = [each for each in self.buffers if each.offset is not None and each.size]
        events = sorted(
            (time, kind, each.offset or 0, index)
            for index, each in enumerate(fixed)
            for interval in each.intervals
            for kind, time in ((1, interval[0]), (0, interval[1]))
        )
        live: list[tuple[int, int]] = []
        for _, kind, offset, index in events:
            at = bisect.bisect_left(live, (offset, index))
            if not kind:
                del live[at]
                continue
            for _, other in live[max(at - 1, 0) : at + 1]:
                _check_apart(fixed[index], fixed[other])
            live.insert(at, (offset, index))


def _check_apart(one: Buffer, other: Buffer) -> None:
    low, high = sorted((one, other), key=lambda each: each.offset or 0)
    if (low.offset or 0) + low.size > (high.offset or 0):
        raise InvalidProblem(
            f"buffers {low.name!r} and {high.name!r} are fixed where they overlap; "
            "move one, or leave its offset open"
        )
