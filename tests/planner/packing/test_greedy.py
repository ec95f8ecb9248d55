from __future__ import annotations

from hypothesis import given

from onecopy.planner import Buffer, Problem
from onecopy.planner.packing import native_search
from onecopy.planner.packing.greedy import first_fit, orders
from onecopy.planner.packing.grid import grid_of
from tests.planner.packing.problems import problems, random_problem


def test_each_buffer_goes_into_the_lowest_hole_that_is_large_enough() -> None:
    problem = Problem(
        [
            Buffer("low", 4, 0, 9),
            Buffer("hole", 4, 0, 1),
            Buffer("high", 4, 0, 9),
            Buffer("small", 3, 2, 9, alignment=2),
            Buffer("large", 5, 2, 9),
        ]
    )
    assert first_fit(grid_of(problem), range(5)) == [0, 4, 8, 4, 12]


def test_fixed_buffers_are_there_first() -> None:
    problem = Problem([Buffer("a", 4, 0, 1), Buffer("b", 2, 0, 1, offset=3)])
    assert first_fit(grid_of(problem), range(2)) == [5, 3]


def test_the_largest_first_need_96_bytes_in_the_example_of_tvm() -> None:
    sizes = {"exp": 32, "relu": 32, "add": 32, "pad": 40}
    problem = Problem(
        Buffer(name, size, start, start + 2) for start, (name, size) in enumerate(sizes.items())
    )
    grid = grid_of(problem)
    assert grid.peak(first_fit(grid, [3, 0, 1, 2])) == 96


@given(problems(most=14))
def test_c_places_as_python_does(problem: Problem) -> None:
    compare(problem)


def test_c_places_as_python_does_with_many_buffers() -> None:
    compare(random_problem(5, 300))


def compare(problem: Problem) -> None:
    grid = grid_of(problem)
    chosen = list(orders(grid).values())
    assert native_search.first_fit(grid, chosen) == [first_fit(grid, each) for each in chosen]
