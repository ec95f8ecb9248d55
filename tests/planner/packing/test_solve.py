from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from onecopy import InvalidArgument, InvalidProblem
from onecopy.planner import Buffer, Problem, read_csv, solve, validate
from onecopy.planner.packing import portfolio
from onecopy.planner.packing import solve as solving
from tests.planner.packing.instances import CAPACITY, path_of
from tests.planner.packing.problems import least_peak, problems, random_problem

TVM = Problem(
    Buffer(name, size, start, start + 2)
    for start, (name, size) in enumerate({"exp": 32, "relu": 32, "add": 32, "pad": 40}.items())
)

# 13 bytes live, but the alignments leave holes: 14 are needed.
AWKWARD = Problem([Buffer("a", 6, 0, 1, 4), Buffer("b", 6, 0, 1, 4), Buffer("c", 1, 0, 1)])


@pytest.fixture(params=["native", "python"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


def test_an_empty_problem_has_an_empty_plan(engine: str) -> None:
    solution = solve(Problem([]), engine=engine)
    assert (solution.peak, solution.optimal, solution.offsets) == (0, True, {})


def test_buffers_without_bytes_have_offsets_too(engine: str) -> None:
    problem = Problem([Buffer("a", 0, 0, 1), Buffer("b", 0, 0, 1, offset=7)])
    solution = solve(problem, engine=engine)
    validate(problem, solution)
    assert solution.offsets == {"a": 0, "b": 7}


def test_the_example_of_tvm_takes_72_bytes(engine: str) -> None:
    solution = solve(TVM, engine=engine)
    validate(TVM, solution)
    assert (solution.peak, solution.lower_bound, solution.optimal) == (72, 72, True)


@settings(max_examples=150, deadline=None)
@given(problem=problems())
def test_plans_of_small_problems_are_the_best_there_are(problem: Problem) -> None:
    for engine in ("native", "python"):
        solution = solve(problem, time_limit=None, engine=engine)
        validate(problem, solution)
        assert solution.optimal
        assert solution.peak == least_peak(problem)


@settings(max_examples=50, deadline=None)
@given(problem=problems(most=14))
def test_plans_of_larger_problems_are_valid(problem: Problem) -> None:
    validate(problem, solve(problem, time_limit=1))


@pytest.mark.parametrize("limit", [0, 0.2])
def test_when_time_is_up_the_best_plan_so_far_is_returned(engine: str, limit: float) -> None:
    problem = random_problem(1, 300)
    solution = solve(problem, time_limit=limit, engine=engine)
    validate(problem, solution)
    assert solution.lower_bound >= problem.lower_bound


class TestCapacity:
    def test_any_plan_within_it_will_do(self) -> None:
        solution = solve(random_problem(2, 100), capacity=10**9)
        assert solution.peak <= 10**9

    def test_below_the_lower_bound_the_plan_shows_what_is_needed(self, engine: str) -> None:
        solution = solve(TVM, capacity=50, engine=engine)
        assert (solution.peak, solution.lower_bound) == (72, 72)

    def test_that_nothing_fits_can_be_proven(self, engine: str) -> None:
        solution = solve(AWKWARD, capacity=13, time_limit=None, engine=engine)
        validate(AWKWARD, solution)
        assert (solution.peak, solution.lower_bound, solution.optimal) == (14, 14, True)


def test_ctrl_c_ends_the_search_with_the_best_plan_so_far(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = portfolio.Portfolio.turns

    def interrupted(self: portfolio.Portfolio) -> Iterator[None]:
        for number, each in enumerate(turns(self)):
            if number == 3:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            yield each

    monkeypatch.setattr(portfolio.Portfolio, "turns", interrupted)
    problem = random_problem(7, 200)
    validate(problem, solve(problem, time_limit=None, engine=engine))


def test_both_engines_make_the_same_plan() -> None:
    assert solve(AWKWARD, engine="native") == solve(AWKWARD, engine="python")


def test_without_the_library_python_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "find", lambda: None)
    assert solve(TVM).peak == 72


def test_an_engine_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="'cuda' is neither"):
        solve(TVM, engine="cuda")  # type: ignore[arg-type]


def test_too_many_buffers_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solving, "PLANNABLE", 2)
    with pytest.raises(InvalidProblem, match="3 pairs of buffers live together"):
        solve(TVM)


def test_where_a_search_would_take_too_much_memory_the_rules_have_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(solving, "SEARCHABLE", 2)
    validate(TVM, solve(TVM))


class TestMinimalloc:
    """The capacities that MiniMalloc's authors give; no simple rule fits any of them."""

    @pytest.mark.parametrize("letter", "ABCDEFGHIJK")
    def test_every_instance_fits(self, letter: str) -> None:
        problem = read_csv(path_of(letter))
        solution = solve(problem, CAPACITY, time_limit=None)
        validate(problem, solution)
        assert solution.peak <= CAPACITY

    @pytest.mark.parametrize("letter", "GIK")
    def test_in_python_too(self, letter: str) -> None:
        problem = read_csv(path_of(letter))
        solution = solve(problem, CAPACITY, time_limit=None, engine="python")
        validate(problem, solution)
        assert solution == solve(problem, CAPACITY, time_limit=None)

    def test_c_is_solved_at_its_lower_bound(self) -> None:
        solution = solve(read_csv(path_of("C")), time_limit=None)
        assert (solution.peak, solution.optimal) == (1_039_360, True)


def test_what_is_good_enough_at_once_makes_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """To arrange a million buffers for searches that do not happen took as long as the rules."""
    monkeypatch.setattr(solving, "Portfolio", None)
    assert solve(TVM, capacity=1000).peak <= 1000
    validate(AWKWARD, solve(AWKWARD, time_limit=0))
    monkeypatch.setattr(solving, "SEARCHABLE", 2)
    validate(AWKWARD, solve(AWKWARD))


def test_capacities_and_limits_may_be_written_as_people_do() -> None:
    assert solve(AWKWARD, capacity="1KiB", time_limit="2s").peak <= 1024


@pytest.mark.parametrize(
    "options", [{"capacity": 1.5}, {"capacity": "much"}, {"time_limit": "soon"}, {"time_limit": []}]
)
def test_what_is_none_is_refused(options: Any) -> None:
    with pytest.raises(InvalidArgument):
        solve(TVM, **options)


def test_a_list_of_buffers_is_no_problem_yet() -> None:
    with pytest.raises(InvalidArgument, match=r"a planner\.Problem"):
        solve(list(TVM.buffers))  # type: ignore[arg-type]
