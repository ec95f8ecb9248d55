"""The way to a plan: simple rules first, then a search until the plan is proven to be the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.planner.packing.greedy import first_fit, orders
from onecopy.planner.packing.grid import grid_of
from onecopy.planner.packing.solution import Solution

if TYPE_CHECKING:
    from onecopy.planner.packing.grid import Grid
    from onecopy.planner.packing.problem import Problem


def solve(problem: Problem, capacity: int | None = None) -> Solution:
    """Return offsets at which no two buffers overlap that live together, in as few bytes as found.

    solve(Problem([Buffer("a", 32, 0, 2), Buffer("b", 40, 1, 3)])).peak     # 72
    """
    grid = grid_of(problem)
    goal = max(problem.lower_bound, capacity or 0)
    best: list[int] | None = None
    for order in orders(grid).values():
        offsets = first_fit(grid, order)
        if best is None or grid.peak(offsets) < grid.peak(best):
            best = offsets
        if grid.peak(best) <= goal:
            break
    return _solution(problem, grid, best or [])


def _solution(problem: Problem, grid: Grid, offsets: list[int]) -> Solution:
    places = {each.name: each.offset or 0 for each in problem.buffers}
    for index, offset in zip(grid.indices, offsets, strict=True):
        places[problem.buffers[index].name] = offset * grid.unit
    peak = grid.peak(offsets)
    return Solution(peak, problem.lower_bound, peak == problem.lower_bound, places)
