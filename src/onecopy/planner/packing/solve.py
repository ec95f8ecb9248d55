"""The way to a plan: simple rules first, then searches until it is proven that none is better."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Literal

from onecopy.errors import InvalidArgument, InvalidProblem
from onecopy.native import find
from onecopy.planner.numbers import whole
from onecopy.planner.packing import greedy
from onecopy.planner.packing.grid import grid_of
from onecopy.planner.packing.portfolio import Portfolio
from onecopy.planner.packing.problem import Problem
from onecopy.planner.packing.search import Search
from onecopy.planner.packing.solution import Solution
from onecopy.units import parse_duration, parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.planner.packing.grid import Grid
    from onecopy.planner.packing.portfolio import Engine

_logger = logging.getLogger(__name__)

PLANNABLE, SEARCHABLE = 50_000_000, 5_000_000
"""Pairs of buffers that live together: each takes 8 bytes, in a search 6 times as many."""


def solve(
    problem: Problem,
    capacity: int | str | None = None,
    time_limit: float | str | None = 10.0,
    engine: Literal["native", "python"] = "native",
) -> Solution:
    """Give every buffer an offset, so that those that live together do not overlap.

        solve(Problem([Buffer("a", 32, 0, 2), Buffer("b", 40, 1, 3)])).peak     # 72

    Simple rules make a first plan. Unless it needs no more than the lower bound, searches look for
    a better one: the best of all, or with `capacity` any that needs no more bytes than that. When
    `time_limit` (seconds; None for no limit) has passed, or on Ctrl-C, the best one so far is
    returned. `solution.optimal` says whether it is the best of all, and `solution.lower_bound`
    what is proven to be needed: when that is above the capacity, nothing fits.

    The simple rules take what they take, some seconds for a million buffers. Where more than 5
    million pairs of buffers live together, they have to do.

    Args:
        problem: what is to be packed.
        capacity: bytes, or a size such as "1MiB".
        time_limit: seconds, or a duration such as "10m".
        engine: "native" is written in C, and falls back to "python" where the library was not
            built. Both take the same steps; the time they need differs by a factor of 50.

    Raises:
        InvalidArgument: an argument is none of this.
        InvalidProblem: more than 50 million pairs of buffers live together.
    """
    if engine not in ("native", "python"):
        raise InvalidArgument(f"engine {engine!r} is neither 'native' nor 'python'")
    if not isinstance(problem, Problem):
        raise InvalidArgument("solve packs a planner.Problem; make one of the buffers")
    capacity, deadline = _bytes(capacity), _deadline(time_limit)
    native = engine == "native" and find() is not None
    grid = grid_of(problem)
    if grid.pairs > PLANNABLE:
        raise InvalidProblem(
            f"{grid.pairs:,} pairs of buffers live together, more than {PLANNABLE:,}; "
            "join buffers that live at the same times"
        )
    offsets = _first_plan(grid, capacity or problem.lower_bound, native)
    if capacity is not None and capacity < problem.lower_bound:
        capacity = None  # Nothing fits; what is needed at least is still worth to know.
    lower_bound = problem.lower_bound
    enough = grid.peak(offsets) <= (lower_bound if capacity is None else capacity)
    if not enough and grid.pairs <= SEARCHABLE and time.monotonic() < deadline:
        portfolio = Portfolio(problem, grid, _engine(native), offsets, capacity)
        _improve(portfolio, deadline)
        offsets, lower_bound = portfolio.offsets, portfolio.lower_bound
    return _solution(problem, grid, offsets, lower_bound)


def _bytes(capacity: int | str | None) -> int | None:
    if isinstance(capacity, str):
        return parse_size(capacity)
    return None if capacity is None else whole(capacity, "`capacity`")


def _deadline(time_limit: float | str | None) -> float:
    return math.inf if time_limit is None else time.monotonic() + parse_duration(time_limit)


def _first_plan(grid: Grid, goal: int, native: bool) -> list[int]:
    """Return the best plan of those that simple rules make."""
    orders = list(greedy.orders(grid).values())
    if native:
        from onecopy.planner.packing.native_search import first_fit

        plans = first_fit(grid, orders)
    else:
        plans = []
        for order in orders:
            plans.append(greedy.first_fit(grid, order))
            if grid.peak(plans[-1]) <= goal:
                break
    return min(plans, key=grid.peak)


def _engine(native: bool) -> type[Engine]:
    if not native:
        return Search
    from onecopy.planner.packing.native_search import NativeSearch

    return NativeSearch


def _improve(portfolio: Portfolio, deadline: float) -> None:
    try:
        for _ in portfolio.turns():
            if time.monotonic() >= deadline:
                break
    except KeyboardInterrupt:
        _logger.info("interrupted; the best plan so far needs %d bytes", portfolio.peak)
    except MemoryError:
        _logger.warning("no memory to search on; the plan may not be the best")


def _solution(problem: Problem, grid: Grid, offsets: Sequence[int], lower_bound: int) -> Solution:
    places = {each.name: each.offset or 0 for each in problem.buffers}
    for index, offset in zip(grid.indices, offsets, strict=True):
        places[problem.buffers[index].name] = offset * grid.unit
    peak = grid.peak(offsets)
    return Solution(peak, min(lower_bound, peak), lower_bound >= peak, places)
