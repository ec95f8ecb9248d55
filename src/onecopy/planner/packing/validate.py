"""An independent check of plans: by brute force, with nothing of what makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.errors import InvalidSolution

if TYPE_CHECKING:
    from onecopy.planner.packing.buffer import Buffer
    from onecopy.planner.packing.problem import Problem
    from onecopy.planner.packing.solution import Solution


def validate(problem: Problem, solution: Solution) -> None:
    """Check that every buffer has its place, and that none overlap while both live.

    Compares every two buffers that share an address; so it takes a second for some thousand.

    Raises:
        InvalidSolution: the text names the buffer, or the two that collide.
    """
    offsets = solution.offsets
    names = {buffer.name for buffer in problem.buffers}
    if wrong := names.symmetric_difference(offsets):
        name = min(wrong)
        what = "has no offset" if name in names else "is not in the problem"
        raise InvalidSolution(f"buffer {name!r} {what}")
    for buffer in problem.buffers:
        _check_place(buffer, offsets[buffer.name])
    _check_overlaps([each for each in problem.buffers if each.size], offsets)
    _check_peak(problem, solution)


def _check_place(buffer: Buffer, offset: int) -> None:
    if offset < 0 or offset % buffer.alignment:
        raise InvalidSolution(
            f"buffer {buffer.name!r} is at {offset}, no multiple of {buffer.alignment}"
        )
    if buffer.offset is not None and offset != buffer.offset:
        raise InvalidSolution(
            f"buffer {buffer.name!r} is at {offset}, though fixed at {buffer.offset}"
        )


def _check_overlaps(buffers: list[Buffer], offsets: dict[str, int]) -> None:
    buffers = sorted(buffers, key=lambda each: offsets[each.name])
    for index, low in enumerate(buffers):
        top = offsets[low.name] + low.size
        for high in buffers[index + 1 :]:
            if offsets[high.name] >= top:
                break
            if low.meets(high):
                raise InvalidSolution(
                    f"buffers {low.name!r}, at {offsets[low.name]} to {top}, and {high.name!r}, "
                    f"at {offsets[high.name]}, overlap while both live"
                )


def _check_peak(problem: Problem, solution: Solution) -> None:
    tops = (solution.offsets[each.name] + each.size for each in problem.buffers if each.size)
    peak = max(tops, default=0)
    if solution.peak != peak:
        raise InvalidSolution(f"the peak is given as {solution.peak}, but it is {peak}")
    if solution.lower_bound > peak:
        raise InvalidSolution(f"the lower bound {solution.lower_bound} is above the peak {peak}")
    if solution.optimal and solution.lower_bound != peak:
        raise InvalidSolution("said to be optimal, with a lower bound below the peak")
