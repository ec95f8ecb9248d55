from __future__ import annotations

from hypothesis import given

from onecopy.planner import Buffer, Problem
from onecopy.planner.packing.grid import FREE, grid_of
from tests.planner.packing.problems import problems


def test_sizes_are_counted_in_what_all_of_them_are_multiples_of() -> None:
    grid = grid_of(Problem([Buffer("a", 6, 0, 1), Buffer("b", 15, 0, 1), Buffer("c", 0, 0, 1)]))
    assert (grid.unit, grid.sizes, grid.indices) == (3, [2, 5], [0, 1])


def test_an_alignment_that_divides_all_sizes_changes_nothing() -> None:
    grid = grid_of(Problem([Buffer("a", 64, 0, 1, 16), Buffer("b", 128, 0, 1)]))
    assert (grid.unit, grid.steps) == (64, [1, 1])


def test_other_alignments_make_the_unit_smaller() -> None:
    grid = grid_of(Problem([Buffer("a", 64, 0, 1, 96), Buffer("b", 128, 0, 1)]))
    assert (grid.unit, grid.sizes, grid.steps) == (32, [2, 4], [3, 1])


def test_sizes_are_rounded_up_to_a_common_alignment() -> None:
    grid = grid_of(Problem([Buffer("a", 10, 0, 1, 64), Buffer("b", 65, 0, 1, 64)]))
    assert (grid.unit, grid.padding, grid.sizes) == (64, 64, [1, 2])
    assert grid.peak([0, 1]) == 129
    assert grid.highest(129) == [1, 1]
    assert grid.ceiling(129) == 3


def test_fixed_offsets_are_multiples_of_the_unit_too() -> None:
    grid = grid_of(Problem([Buffer("a", 12, 0, 1, offset=8), Buffer("b", 12, 0, 1)]))
    assert (grid.unit, grid.fixed) == (4, [2, FREE])


def test_the_next_peak_is_one_that_some_buffer_can_end_at() -> None:
    grid = grid_of(Problem([Buffer("a", 10, 0, 1, 64), Buffer("b", 65, 0, 1, 64)]))
    assert [grid.next_peak(each) for each in (0, 2, 10, 11, 66, 75)] == [1, 10, 10, 65, 74, 129]


@given(problems(most=10))
def test_neighbours_are_those_that_live_together(problem: Problem) -> None:
    grid = grid_of(problem)
    buffers = [problem.buffers[index] for index in grid.indices]
    for one, neighbours in zip(buffers, grid.neighbours, strict=True):
        expected = {i for i, other in enumerate(buffers) if other is not one and one.meets(other)}
        assert set(neighbours) == expected
    assert grid.pairs >= sum(map(len, grid.neighbours)) // 2
