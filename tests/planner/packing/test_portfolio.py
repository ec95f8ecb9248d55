"""Several searches in turn: plans only get better, and bounds only closer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner import Problem
from onecopy.planner.packing import portfolio as portfolios
from onecopy.planner.packing.greedy import first_fit
from onecopy.planner.packing.grid import grid_of
from onecopy.planner.packing.portfolio import Portfolio, styles
from onecopy.planner.packing.search import Search
from tests.planner.packing.problems import least_peak, problems, random_problem


def started(problem: Problem, capacity: int | None = None) -> Portfolio:
    grid = grid_of(problem)
    first = first_fit(grid, range(len(grid)))
    return Portfolio(problem, grid, Search, first, capacity)


@given(problems(most=10))
def test_each_style_is_an_order_of_all_buffers(problem: Problem) -> None:
    grid = grid_of(problem)
    for style in styles(problem, grid):
        assert sorted(style.order) == list(range(len(grid)))


@settings(deadline=None, max_examples=60)
@given(problem=problems(), nodes=st.sampled_from([1, 7, 1000]))
def test_turn_by_turn_plans_get_better_and_bounds_closer(problem: Problem, nodes: int) -> None:
    best, grid = least_peak(problem), grid_of(problem)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(portfolios, "NODES", nodes)
        portfolio = started(problem)
        peak, bound = portfolio.peak, portfolio.lower_bound
        for _ in portfolio.turns():
            assert bound <= portfolio.lower_bound <= best <= portfolio.peak <= peak
            assert grid.peak(portfolio.offsets) == portfolio.peak
            peak, bound = portfolio.peak, portfolio.lower_bound
    assert portfolio.done
    assert portfolio.peak == best


@settings(deadline=None, max_examples=60)
@given(problem=problems(), more=st.integers(-3, 6))
def test_with_a_capacity_it_is_done_with_any_plan_within_or_the_proof_of_none(
    problem: Problem, more: int
) -> None:
    best = least_peak(problem)
    portfolio = started(problem, best + more)
    for _ in portfolio.turns():
        pass
    if more >= 0:
        assert portfolio.peak <= best + more
    else:
        assert portfolio.lower_bound > best + more


def test_it_may_be_interrupted_often() -> None:
    portfolio = started(random_problem(7, 200))
    turns = portfolio.turns()
    for _ in range(20):
        next(turns)
    assert not portfolio.done
