"""Where each allocation of a run goes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from onecopy.planner.packing.solve import solve

if TYPE_CHECKING:
    from onecopy.planner.running.recording import Recording


class Slot(NamedTuple):
    """The place of one allocation, in bytes."""

    offset: int
    nbytes: int
    kept: int
    """Whether it outlives the run: its memory then comes from elsewhere."""


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


def lay_out(recording: Recording) -> Layout:
    """Pack what a recording allocated.

    What outlives the run is packed along, though it gets other memory: where it would lie, nothing
    else does until the run ends, so that memory can be given back to the system for it.
    """
    problem = recording.problem()
    solution = solve(problem)
    slots = tuple(
        Slot(solution.offsets[buffer.name], buffer.size, int(not allocation.freed))
        for buffer, allocation in zip(problem.buffers, recording.allocations, strict=True)
    )
    return Layout(slots, solution.peak, solution.lower_bound)
