"""The search in C: the same nodes as in Python, and memory that is given back."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner import Problem
from onecopy.planner.packing import native_search
from onecopy.planner.packing.grid import Grid, grid_of
from onecopy.planner.packing.native_search import NativeSearch, first_fit
from onecopy.planner.packing.portfolio import styles
from onecopy.planner.packing.search import Search, Status
from tests.planner.packing.problems import problems, random_problem


class TestTheSame:
    @settings(max_examples=150, deadline=None)
    @given(problem=problems(most=14), part=st.floats(0.8, 1.3), crowded=st.booleans())
    def test_on_small_problems_both_visit_the_same_nodes(
        self, problem: Problem, part: float, crowded: bool
    ) -> None:
        self.compare(grid_of(problem), int(problem.lower_bound * part), crowded, 5000)

    @pytest.mark.parametrize("seed", range(6))
    def test_on_large_problems_too(self, seed: int) -> None:
        problem = random_problem(seed, 150, horizon=100)
        grid = grid_of(problem)
        for style in styles(problem, grid):
            capacity = problem.lower_bound * (100 + 3 * seed) // 100
            self.compare(grid.arranged(style.order), capacity, style.crowded, 800)

    def compare(self, grid: Grid, capacity: int, crowded: bool, nodes: int) -> None:
        python, native = Search(grid, capacity, crowded), NativeSearch(grid, capacity, crowded)
        while True:
            status = python.run(nodes // 4)
            assert status == native.run(nodes // 4)
            assert python.nodes == native.nodes
            if status != Status.RUNNING or python.nodes >= nodes:
                break
        if status == Status.FOUND:
            assert python.offsets() == native.offsets()


def test_a_search_that_is_dropped_gives_its_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    freed = []
    functions = native_search._functions()
    free = functions.onecopy_packing_free

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(functions, name)

        def onecopy_packing_free(self, search: object) -> None:
            freed.append(search)
            free(search)

    monkeypatch.setattr(native_search, "_functions", Watched)
    search = NativeSearch(grid_of(random_problem(1, 20)), 10**6)
    search.run(10)
    gone = weakref.ref(search)
    del search
    gc.collect()
    assert gone() is None
    assert len(freed) == 1


def test_several_threads_search_at_the_same_time() -> None:
    grid = grid_of(random_problem(3, 60))
    searches = [NativeSearch(grid, 40_000) for _ in range(4)]
    threads = [threading.Thread(target=search.run, args=(3000,)) for search in searches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(search.nodes, search.run(0)) for search in searches}) == 1


def test_the_grid_need_not_live_as_long_as_its_search() -> None:
    search = NativeSearch(grid_of(random_problem(2, 30)), 10**9)
    gc.collect()
    assert search.run(10**6) == Status.FOUND


def test_no_orders_make_no_plans() -> None:
    assert first_fit(grid_of(random_problem(2, 30)), []) == []
