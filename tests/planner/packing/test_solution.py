from __future__ import annotations

import dataclasses

import pytest

from onecopy.planner import Buffer, Problem, Solution, solve


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
