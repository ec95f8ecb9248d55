from __future__ import annotations

import pytest
from hypothesis import given

from onecopy import InvalidProblem
from onecopy.planner import Buffer, Problem
from tests.planner.packing.problems import least_peak, problems


def test_its_lower_bound_is_the_largest_sum_of_live_sizes() -> None:
    problem = Problem([Buffer("a", 32, 0, 2), Buffer("b", 32, 1, 3), Buffer("c", 40, 2, 4)])
    assert problem.lower_bound == 72
    assert problem.peak_time == 2
    assert [each.name for each in problem.live_at(2)] == ["b", "c"]


def test_an_empty_problem_needs_nothing() -> None:
    assert Problem([]).lower_bound == 0
    assert Problem([]).peak_time == 0
    assert Problem([Buffer("a", 0, 0, 1)]).lower_bound == 0


def test_buffers_take_whole_multiples_of_a_common_alignment_but_for_the_highest() -> None:
    three = [Buffer(name, 10, 0, 1, alignment=64) for name in "abc"]
    assert Problem(three).lower_bound == 138
    assert Problem([*three, Buffer("d", 1, 0, 1)]).lower_bound == 31


def test_what_is_fixed_needs_the_bytes_below_it() -> None:
    assert Problem([Buffer("a", 8, 0, 1, offset=100)]).lower_bound == 108


def test_gaps_are_room_for_others() -> None:
    problem = Problem([Buffer("a", 32, 0, 9, gaps=((3, 6),)), Buffer("b", 40, 3, 6)])
    assert problem.lower_bound == 40


def test_two_buffers_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidProblem, match="two buffers are named 'a'"):
        Problem([Buffer("a", 1, 0, 1), Buffer("b", 1, 0, 1), Buffer("a", 1, 4, 5)])


def test_fixed_buffers_that_overlap_are_refused() -> None:
    first, second = Buffer("a", 8, 0, 5, offset=0), Buffer("b", 8, 4, 6, offset=7)
    with pytest.raises(InvalidProblem, match="'a' and 'b' are fixed where they overlap"):
        Problem([first, Buffer("c", 8, 0, 9, offset=40), second])
    assert len(Problem([first, Buffer("b", 8, 5, 6, offset=7)])) == 2


def test_sizes_beyond_what_can_be_added_are_refused() -> None:
    with pytest.raises(InvalidProblem, match="add up"):
        Problem([Buffer(str(number), 2**58, 0, 1) for number in range(5)])


@given(problems())
def test_no_plan_is_below_the_lower_bound(problem: Problem) -> None:
    assert problem.lower_bound <= least_peak(problem)


def test_what_is_no_buffer_is_refused() -> None:
    with pytest.raises(InvalidProblem, match=r"planner\.Buffer in it, not \('a', 1, 0, 1\)"):
        Problem([("a", 1, 0, 1)])  # type: ignore[list-item]
