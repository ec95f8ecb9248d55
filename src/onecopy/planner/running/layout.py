"""Where each allocation of a run goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from onecopy.planner.packing.solve import solve

if TYPE_CHECKING:
    from onecopy.planner.running.recording import Recording


_QUICK = 0.1
"""Seconds: of a search that a call waits for."""


class Slot(NamedTuple):
    """The place of one allocation, in bytes."""

    offset: int
    nbytes: int
    kept: int
    """0, or a number from 1 on: it outlives the run, and gets its memory elsewhere."""


@dataclass(frozen=True)
class Layout:
    """A slot for each allocation of a recording, by its index."""

    slots: tuple[Slot, ...] = field(repr=False)
    peak: int
    """Bytes of everything, what outlives the run included."""
    lower_bound: int
    """Bytes that no layout can do without."""

    @property
    def arena_nbytes(self) -> int:
        """Bytes of what does not outlive the run."""
        return max((each.offset + each.nbytes for each in self.slots if not each.kept), default=0)

    @property
    def outputs(self) -> int:
        """How many allocations outlive the run."""
        return sum(1 for each in self.slots if each.kept)


def lay_out(recording: Recording, capacity: int | None = None) -> Layout:
    """Pack what a recording allocated; with a capacity, nothing better is looked for once it fits.

    What outlives the run is packed along, though it gets other memory: where it would lie, nothing
    else does until the run ends, so that memory can be given back to the system for it.
    """
    problem = recording.problem()
    solution = solve(problem) if capacity is None else solve(problem, capacity, _QUICK)
    numbers = count(1)
    slots = tuple(
        Slot(solution.offsets[each.name], each.size, 0 if allocation.freed else next(numbers))
        for each, allocation in zip(problem.buffers, recording.allocations, strict=True)
    )
    return Layout(slots, solution.peak, solution.lower_bound)
