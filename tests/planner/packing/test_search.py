"""The exact search: in Python, in C, and that both are the same."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner import Buffer, Problem, Solution, validate
from onecopy.planner.packing.grid import Grid, grid_of
from onecopy.planner.packing.native_search import NativeSearch
from onecopy.planner.packing.search import Search, Status
from tests.planner.packing.problems import least_peak, problems, random_problem

FAR = 1_000_000
ENGINES = [Search, NativeSearch]


def check(problem: Problem, grid: Grid, search: Search | NativeSearch) -> int:
    """Check a plan that was found; return its peak."""
    offsets = search.offsets()
    places = {each.name: each.offset or 0 for each in problem.buffers}
    for index, offset in zip(grid.indices, offsets, strict=True):
        places[problem.buffers[index].name] = offset * grid.unit
    validate(problem, Solution(grid.peak(offsets), 0, False, places))
    return grid.peak(offsets)


@pytest.mark.parametrize("engine", ENGINES)
class TestBoth:
    def test_the_example_of_tvm_fits_into_72_bytes(self, engine: type) -> None:
        problem = Problem(
            [
                Buffer("exp", 32, 0, 2),
                Buffer("relu", 32, 1, 3),
                Buffer("add", 32, 2, 4),
                Buffer("pad", 40, 3, 5),
            ]
        )
        grid = grid_of(problem)
        search = engine(grid, 72)
        assert search.run(FAR) == Status.FOUND
        assert check(problem, grid, search) == 72
        assert engine(grid, 71).run(FAR) == Status.EXHAUSTED

    def test_it_stops_after_so_many_nodes_and_goes_on_later(self, engine: type) -> None:
        grid = grid_of(random_problem(3, 80))
        whole, pieces = engine(grid, 40_000), engine(grid, 40_000)
        whole.run(500)
        for _ in range(50):
            pieces.run(10)
        assert whole.nodes == pieces.nodes
        assert whole.run(0) == pieces.run(0)

    def test_nothing_to_pack_is_packed(self, engine: type) -> None:
        search = engine(grid_of(Problem([])), 0)
        assert search.run(1) == Status.FOUND
        assert (search.offsets(), search.nodes) == ([], 0)

    def test_what_is_fixed_too_high_does_not_fit(self, engine: type) -> None:
        grid = grid_of(Problem([Buffer("a", 4, 0, 1, offset=8)]))
        assert engine(grid, 11).run(FAR) == Status.EXHAUSTED
        assert engine(grid, 12).run(FAR) == Status.FOUND

    @settings(max_examples=300, deadline=None)
    @given(problem=problems(), crowded=st.booleans(), seed=st.integers(0, 9))
    def test_it_finds_the_best_peak_and_proves_that_none_is_better(
        self, engine: type, problem: Problem, crowded: bool, seed: int
    ) -> None:
        order = list(range(len(grid_of(problem))))
        random.Random(seed).shuffle(order)
        grid, best = grid_of(problem).arranged(order), least_peak(problem)
        search = engine(grid, best, crowded)
        assert search.run(FAR) == Status.FOUND
        assert check(problem, grid, search) <= best
        if best:
            assert engine(grid, best - 1, crowded).run(FAR) == Status.EXHAUSTED
