from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from onecopy import InvalidSolution
from onecopy.planner import Buffer, Problem, Solution, draw, solve, write_csv


def test_it_is_shown_without_its_offsets_which_may_be_thousands() -> None:
    solution = solve(Problem([Buffer("a", 4, 0, 1)]))
    assert repr(solution) == "Solution(peak=4, lower_bound=4, optimal=True)"
    assert solution.offsets == {"a": 0}


def test_two_are_equal_if_all_is_in_the_same_place() -> None:
    one = Solution(4, 4, True, {"a": 0})
    assert one == Solution(4, 4, True, {"a": 0})
    assert one != Solution(4, 4, True, {"a": 4})


def test_it_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Solution(4, 4, True, {}).peak = 3  # type: ignore[misc]


def test_that_of_another_problem_can_neither_be_drawn_nor_written(tmp_path: Path) -> None:
    problem, other = Problem([Buffer("a", 4, 0, 1)]), Solution(4, 4, True, {"b": 0})
    for use in (draw, lambda *both: write_csv(tmp_path / "x.csv", *both)):
        with pytest.raises(InvalidSolution, match="'a' has no offset; give the solution of this"):
            use(problem, other)
    assert not (tmp_path / "x.csv").exists()
