"""The edge between what fits and what does not, whatever a run needs."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.errors import BudgetExceeded
from onecopy.planner.budget.edge import Edge
from onecopy.planner.budget.prober import Measured


def edge(start, upper, step, budget) -> Edge:
    span = (1, math.inf if upper is None else upper)
    return Edge(lambda s: {"s": s}, lambda at: 1000 + 10 * at["s"], budget, start, span, step)


def _needing(bytes_at, budget):
    """What a run would have measured, were it to need so many bytes."""

    def measure(values, limit):
        assert limit == budget
        needed = bytes_at(values["s"])
        fits = needed <= budget
        return Measured(values, fits, 1000, 0, needed - 1000 if fits else None, 0, 0, "too much")

    return measure


@settings(max_examples=200, deadline=None)
@given(
    start=st.integers(1, 500),
    upper=st.one_of(st.none(), st.integers(500, 5000)),
    step=st.integers(1, 20),
    each=st.integers(1, 300),
    square=st.integers(0, 3),
    budget=st.integers(900, 100_000),
)
def test_whatever_a_run_needs_the_edge_is_found(start, upper, step, each, square, budget) -> None:
    def bytes_at(value: int) -> int:
        return 1000 + each * value + square * value * value

    runs = []

    def measure(values, limit):
        runs.append(values["s"])
        return _needing(bytes_at, budget)(values, limit)

    found = edge(start, upper, step, budget)
    if bytes_at(1) > budget:
        with pytest.raises(BudgetExceeded, match=r"not even s = 1 fits .*too much; raise"):
            found.find(measure)
        return
    best, beyond = found.find(measure)
    assert best.peak == bytes_at(best.values["s"]) <= budget
    assert (best.values["s"] - start) % step == 0 or best.values["s"] in (1, upper)
    if beyond is None:
        assert best.values["s"] == upper
    else:
        assert best.values["s"] < beyond.values["s"] <= best.values["s"] + step
        assert bytes_at(beyond.values["s"]) > budget
    assert len(set(runs)) == len(runs) <= 30


def test_a_formula_that_is_right_needs_two_runs() -> None:
    seen = []

    def measure(values, limit):
        seen.append(values["s"])
        return _needing(lambda value: 1000 + 10 * value, 10_000)(values, limit)

    edge(900, None, 1, 10_000).find(measure)
    assert sorted(seen) == [900, 901]


@given(low=st.integers(1, 30), high=st.integers(30, 90), budget=st.integers(1, 2000))
def test_what_a_relation_forbids_is_never_measured(low: int, high: int, budget: int) -> None:
    def at(value):
        return {"s": value} if low <= value <= high else None

    def measure(values, limit):
        assert low <= values["s"] <= high
        needed = 20 * values["s"]
        return Measured(values, needed <= limit, 0, 0, needed if needed <= limit else None, 0, 0)

    found = Edge(at, lambda values: values["s"], budget, 30, (1, math.inf))
    if 20 * low > budget:
        with pytest.raises(BudgetExceeded, match=f"not even s = {low}"):
            found.find(measure)
    else:
        best, _ = found.find(measure)
        assert best.values["s"] == min(budget // 20, high)
