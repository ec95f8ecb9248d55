from __future__ import annotations

from hypothesis import given

from onecopy.planner import Buffer, Problem, solve, validate
from tests.planner.packing.problems import problems, random_problem


def test_an_empty_problem_has_an_empty_plan() -> None:
    solution = solve(Problem([]))
    assert (solution.peak, solution.optimal, solution.offsets) == (0, True, {})


def test_buffers_without_bytes_have_offsets_too() -> None:
    problem = Problem([Buffer("a", 0, 0, 1), Buffer("b", 0, 0, 1, offset=7)])
    solution = solve(problem)
    validate(problem, solution)
    assert solution.offsets == {"a": 0, "b": 7}


@given(problems(most=12))
def test_every_plan_is_valid(problem: Problem) -> None:
    validate(problem, solve(problem))


def test_plans_of_larger_problems_are_valid() -> None:
    problem = random_problem(1, 300)
    validate(problem, solve(problem))
