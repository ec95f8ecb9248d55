from __future__ import annotations

import pytest

from onecopy import InvalidSolution
from onecopy.planner import Buffer, Problem, Solution, validate

PROBLEM = Problem(
    [
        Buffer("a", 8, 0, 4, alignment=4),
        Buffer("b", 8, 2, 6),
        Buffer("c", 8, 4, 9, gaps=((5, 6),)),
        Buffer("fixed", 2, 5, 6, offset=20),
        Buffer("empty", 0, 0, 9),
    ]
)


def solution(peak: int = 22, bound: int = 22, optimal: bool = True, **offsets: int) -> Solution:
    good = {"a": 0, "b": 8, "c": 16, "fixed": 20, "empty": 9}
    return Solution(peak, bound, optimal, {**good, **offsets})


def test_a_plan_that_keeps_buffers_apart_is_fine() -> None:
    validate(PROBLEM, solution(peak=24, bound=24))


def test_both_buffers_that_collide_are_named() -> None:
    with pytest.raises(InvalidSolution, match="'a', at 4 to 12, and 'b', at 8, overlap"):
        validate(PROBLEM, solution(a=4))
    with pytest.raises(InvalidSolution, match="'c', at 15 to 23, ") as caught:
        validate(PROBLEM, solution(c=15, b=16))
    assert "'b', at 16" in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (solution(peak=24, bound=24, a=2), "'a' is at 2, no multiple of 4"),
        (solution(peak=24, bound=24, b=-8), "'b' is at -8"),
        (solution(peak=24, bound=24, fixed=22), "fixed at 20"),
        (solution(peak=24, bound=24, other=0), "'other' is not in the problem"),
        (Solution(0, 0, False, {"a": 0, "b": 8, "c": 16, "fixed": 20}), "'empty' has no offset"),
        (solution(peak=23, bound=22, optimal=False), "peak is given as 23, but it is 24"),
        (solution(peak=24, bound=25), "above the peak"),
        (solution(peak=24, bound=22), "optimal"),
    ],
)
def test_anything_else_that_is_wrong_is_named(wrong: Solution, text: str) -> None:
    with pytest.raises(InvalidSolution, match=text):
        validate(PROBLEM, wrong)
