"""A problem as the algorithms see it: whole units instead of bytes, sections instead of times."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.planner.packing.problem import Problem
    from onecopy.planner.packing.sections import Spans

FREE = -1
"""Instead of an offset: the buffer may be anywhere."""


@dataclass(frozen=True)
class Grid:
    """The buffers that have bytes, in some order; all lists have one item for each.

    A plan that no buffer of which can be moved down has offsets that are sums of sizes, aligned.
    So they are multiples of one unit, and nothing is lost by counting in it.
    """

    unit: int
    """In bytes."""
    padding: int
    """In bytes: every offset is a multiple of it, and every size is rounded up to one."""
    indices: list[int]
    """Which buffers of the problem these are."""
    nbytes: list[int]
    """Sizes as they are given."""
    sizes: list[int]
    """In units."""
    steps: list[int]
    """Alignments, in units."""
    fixed: list[int]
    """Offsets in units, or FREE."""
    spans: list[Spans]
    """The sections in which each lives."""
    sections: int
    """How many there are."""

    def __len__(self) -> int:
        return len(self.sizes)

    def arranged(self, order: Sequence[int]) -> Grid:
        """Return the same with the buffers in another order."""
        return replace(
            self,
            indices=[self.indices[index] for index in order],
            nbytes=[self.nbytes[index] for index in order],
            sizes=[self.sizes[index] for index in order],
            steps=[self.steps[index] for index in order],
            fixed=[self.fixed[index] for index in order],
            spans=[self.spans[index] for index in order],
        )

    def highest(self, capacity: int) -> list[int]:
        """Return the highest offset of each buffer within `capacity` bytes; may be below 0."""
        return [(capacity - nbytes) // self.unit for nbytes in self.nbytes]

    def ceiling(self, capacity: int) -> int:
        """Return the units that buffers may take which lie one above the other."""
        return -(-capacity // self.padding) * self.padding // self.unit

    def peak(self, offsets: Sequence[int]) -> int:
        """Return the bytes of a plan that is given in units."""
        tops = (at * self.unit + size for at, size in zip(offsets, self.nbytes, strict=True))
        return max(tops, default=0)

    def next_peak(self, nbytes: int) -> int:
        """Return the least number of bytes, from `nbytes` on, that a plan may need."""
        return min(
            (size - (size - nbytes) // self.unit * self.unit for size in self.nbytes), default=0
        )

    @cached_property
    def loads(self) -> list[int]:
        """The units that live in each section."""
        changes = [0] * (self.sections + 1)
        for size, spans in zip(self.sizes, self.spans, strict=True):
            for first, last in spans:
                changes[first] += size
                changes[last] -= size
        return list(itertools.accumulate(changes[:-1]))

    @cached_property
    def pairs(self) -> int:
        """How many pairs of buffers live together; those that meet twice count twice."""
        begins, ends = [0] * (self.sections + 1), [0] * (self.sections + 1)
        for spans in self.spans:
            for first, last in spans:
                begins[first] += 1
                ends[last] += 1
        live, total = 0, 0
        for starting, ending in zip(begins, ends, strict=True):
            live -= ending
            total += live * starting + starting * (starting - 1) // 2
            live += starting
        return total

    @cached_property
    def neighbours(self) -> list[list[int]]:
        """The buffers that each one meets in some section, by one sweep over the sections."""
        found: list[set[int]] = [set() for _ in self.sizes]
        begins: list[list[tuple[int, int]]] = [[] for _ in range(self.sections)]
        for index, spans in enumerate(self.spans):
            for first, last in spans:
                begins[first].append((index, last))
        live: list[tuple[int, int]] = []
        for section, starting in enumerate(begins):
            if not starting:
                continue
            live = [each for each in live if each[1] > section]
            for index, last in starting:
                for other, _ in live:
                    found[index].add(other)
                    found[other].add(index)
                live.append((index, last))
        return [sorted(each) for each in found]


def grid_of(problem: Problem) -> Grid:
    """Return the grid of a problem, in the problem's order."""
    kept = [(index, each) for index, each in enumerate(problem.buffers) if each.size]
    padding, sections = problem.padding, problem.sections
    padded = [-(-each.size // padding) * padding for _, each in kept]
    fixed = [each.offset for _, each in kept if each.offset]
    unit = _unit([*padded, *fixed], {each.alignment for _, each in kept if each.offset is None})
    return Grid(
        unit,
        padding,
        [index for index, _ in kept],
        [each.size for _, each in kept],
        [size // unit for size in padded],
        [max(each.alignment // unit, 1) for _, each in kept],
        [FREE if each.offset is None else each.offset // unit for _, each in kept],
        [sections.spans[index] for index, _ in kept],
        len(sections.times),
    )


def _unit(numbers: list[int], alignments: set[int]) -> int:
    """Return what all numbers are multiples of, and each alignment is, or else divides."""
    unit = math.gcd(*numbers) or 1
    while odd := [each for each in alignments if each % unit and unit % each]:
        unit = math.gcd(unit, *odd)
    return unit
