from __future__ import annotations

import json
from fractions import Fraction
from types import SimpleNamespace

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.errors import BudgetExceeded, InvalidArgument, InvalidBounds, UnboundedDimension
from onecopy.planner.budget.fitting import fit
from tests.planner.budget.forms import (
    LLAMA,
    WEIGHTS,
    anything,
    b,
    boxes,
    c,
    function_of,
    growing,
    planned,
    points,
    s,
)

NAMES = ("s", "b", "c")
LLAMA_PLAN = planned(LLAMA, WEIGHTS, s=(1, None), c=(1, None), b=(1, 256))
GIB = 1 << 30


@pytest.mark.parametrize(("chunk", "longest"), [(512, 118_480), (4096, 101_733)])
def test_a_llama_of_a_billion_weights_in_six_gibibytes(chunk: int, longest: int) -> None:
    plan = planned(
        WEIGHTS + 32768 * b * s + 8 * b * c + 8 * c + 256512 * b + 53248 * b * c + c * s + 512 * c,
        s=(1, None),
        c=(1, None),
        b=(1, None),
    )
    found = fit(plan, "6GiB", maximize=["s"], subject_to={"c": (chunk, None), "b": 1})
    assert found.values == {"s": longest, "c": chunk, "b": 1}
    assert found.exhaustive
    assert found.nbytes <= 6 * GIB < found.nbytes + 32768 + chunk


def _all(expression, box):
    """Every point of a box, with its bytes."""
    function = function_of(sympy.sympify(expression), NAMES)
    return {point: function(point) for point in points(box)}


def _check_one_by_one(expression, box, budget, names) -> None:
    plan = planned(expression, **dict(zip(NAMES, box, strict=True)))
    known = _all(expression, box)
    good = [point for point, nbytes in known.items() if nbytes <= budget]
    if not good:
        with pytest.raises(BudgetExceeded, match=str(sympy.ceiling(min(known.values())))):
            fit(plan, budget, names)
        return
    found = fit(plan, budget, names)
    order = [NAMES.index(name) for name in names]
    best = max(tuple(point[at] for at in order) for point in good)
    same = [point for point in good if tuple(point[at] for at in order) == best]
    assert tuple(found.values[name] for name in names) == best
    assert found.nbytes == sympy.ceiling(min(known[point] for point in same))
    assert found.exhaustive


some_names = st.permutations(NAMES).flatmap(lambda n: st.integers(1, 3).map(lambda k: n[:k]))


@settings(max_examples=50, deadline=None)
@given(growing, boxes, st.integers(1, 4000), some_names)
def test_one_after_the_other_is_what_trying_all_finds(expression, box, budget, names) -> None:
    _check_one_by_one(expression, box, budget, names)


@settings(max_examples=60, deadline=None)
@given(anything, boxes, st.integers(1, 800), some_names)
def test_any_form_is_fitted_as_trying_all_would(expression, box, budget, names) -> None:
    _check_one_by_one(expression, box, budget, names)


def _check_weights(expression, box, budget, weights) -> None:
    plan = planned(expression, **dict(zip(NAMES, box, strict=True)))
    good = [p for p, nbytes in _all(expression, box).items() if nbytes <= budget]
    if not good:
        with pytest.raises(BudgetExceeded):
            fit(plan, budget, dict(zip(NAMES, weights, strict=True)))
        return
    found = fit(plan, budget, dict(zip(NAMES, weights, strict=True)))

    def aim(point):
        return sum(Fraction(w) * x for w, x in zip(weights, point, strict=True))

    assert aim(tuple(found.values[name] for name in NAMES)) == max(map(aim, good))
    assert found.nbytes <= budget


weights = st.tuples(*[st.one_of(st.integers(-3, 9), st.floats(-2, 5, width=16))] * 3)


@settings(max_examples=60, deadline=None)
@given(growing, boxes, st.integers(1, 4000), weights)
def test_weights_are_what_trying_all_finds(expression, box, budget, weights) -> None:
    _check_weights(expression, box, budget, weights)


@settings(max_examples=60, deadline=None)
@given(anything, boxes, st.integers(1, 800), weights)
def test_weights_with_any_form_are_what_trying_all_finds(expression, box, budget, weights) -> None:
    _check_weights(expression, box, budget, weights)


@pytest.mark.parametrize("weight", [1, 15, 37.5, 100, 450, 1000])
def test_weights_find_the_best_of_a_large_range(weight: float) -> None:
    found = fit(LLAMA_PLAN, "6GiB", {"s": 1.0, "b": weight}, {"c": 512})
    best = max(
        fit(LLAMA_PLAN, "6GiB", "s", {"c": 512, "b": many}).values["s"] + weight * many
        for many in range(1, 145)
    )
    assert found.values["s"] + weight * found.values["b"] == best
    assert found.exhaustive


def test_rounded_forms_are_searched_in_a_large_range() -> None:
    rounded = 4096 * sympy.ceiling(s * b / 4096) + 64 * sympy.ceiling(7 * s / 64) + 1000 * b
    plan = planned(rounded, s=(1, 10**6), b=(1, 10**4))
    found = fit(plan, 10**7, {"s": 1, "b": 90})
    best = max(
        fit(plan, 10**7, "s", {"b": many}).values["s"] + 90 * many for many in range(1, 3000, 97)
    )
    assert found.exhaustive
    assert found.values["s"] + 90 * found.values["b"] >= best


def test_what_is_not_named_takes_what_needs_least() -> None:
    plan = planned(10 * s + sympy.floor(1000 / c) + c, s=(1, 1000), c=(1, 1000))
    found = fit(plan, 1000, ["s"])
    assert (found.values["s"], found.nbytes) == (93, 930 + 32 + 31)


def test_a_parameter_that_costs_nothing_is_as_large_as_it_may_be() -> None:
    assert fit(planned(10 * s, s=(1, 9), b=(1, 7)), 100, ["b", "s"]).values == {"s": 9, "b": 7}


def test_several_processes_share_the_weights_of_a_store() -> None:
    alone = fit(LLAMA_PLAN, "6GiB", "s", {"c": 512, "b": 1})
    four = fit(LLAMA_PLAN, "6GiB", "s", {"c": 512, "b": 1}, processes=4)
    assert four.nbytes <= 6 * GIB
    at = function_of(LLAMA, four.values)(four.values.values())
    assert four.nbytes == WEIGHTS + 4 * (at - WEIGHTS)
    assert four.values["s"] < alone.values["s"] / 4


def test_too_small_a_budget_says_what_is_needed() -> None:
    with pytest.raises(BudgetExceeded, match=r"2472194969|at s = 1, c = 512, b = 1") as refusal:
        fit(LLAMA_PLAN, "2GiB", "s", {"c": (512, None)})
    assert "raise the budget" in str(refusal.value)


def test_what_nothing_bounds_is_refused() -> None:
    with pytest.raises(UnboundedDimension, match="b has no upper bound"):
        fit(planned(10 * s, s=(1, 9), b=(1, None)), 100, "b")
    with pytest.raises(UnboundedDimension, match="subject_to"):
        fit(planned(1000 - s, s=(1, None)), 100, "s")
    assert fit(planned(10 * s, s=(1, 9), b=(1, None)), 100, "s").values == {"s": 9, "b": 1}


@pytest.mark.parametrize("wish", [(20, None), (None, 0), 11, (6, 5)])
def test_bounds_that_contradict_each_other_are_refused(wish) -> None:
    with pytest.raises(InvalidBounds, match="s cannot be"):
        fit(planned(s, s=(1, 10)), 100, "s", {"s": wish})


@pytest.mark.parametrize(
    ("maximize", "subject_to", "text"),
    [
        (["x"], {}, "names x, but the dimensions are"),
        ("s", {"x": 1}, "names x, but the dimensions are"),
        ([], {}, "say what to maximize"),
        ("s", {"b": "1..2"}, "whole number or"),
        ("s", {"b": (1, 2, 3)}, "whole number or"),
        ({"s": float("nan")}, {}, "finite"),
        ({"s": "2"}, {}, "finite number, not '2'"),
        (5, {}, "a name or a list of names"),
        ([("s", 1)], {}, "a name or a list of names"),
        ("s", {"b": True}, "whole number or"),
        ("s", {"b": 1.5}, "whole number or"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(maximize, subject_to, text) -> None:
    with pytest.raises(InvalidArgument, match=text):
        fit(planned(s * b, s=(1, 10), b=(1, 10)), 100, maximize, subject_to)


def test_a_search_that_takes_too_long_says_so() -> None:
    ragged = sum(sympy.floor(s * b / n) - sympy.floor(c * s / (n + 1)) for n in range(1, 9))
    plan = planned(ragged + s, s=(1, 10**6), b=(1, 10**6), c=(1, 10**6))
    found = fit(plan, 10**5, {"s": 1, "b": 3, "c": -2}, time_limit=0)
    assert not found.exhaustive
    assert found.nbytes <= 10**5


def test_numbers_of_numpy_are_whole_numbers_too() -> None:
    np = pytest.importorskip("numpy")
    plan = planned(s * b, s=(1, 10), b=(1, 10))
    assert fit(plan, 100, "s", {"b": np.int64(3)}) == fit(plan, 100, "s", {"b": 3})


def test_a_plan_without_dimensions_has_nothing_to_fit() -> None:
    with pytest.raises(InvalidArgument, match="dynamic_shapes"):
        fit(planned(sympy.Integer(7)), 100, [])


def test_it_says_where_the_bound_limits_and_not_the_budget() -> None:
    plan = planned(10 * s + b, s=(1, 10), b=(1, 60))
    found = fit(plan, "1KiB", ["s", "b"], {"b": (None, 40)})
    assert found.at_bound == ("s", "b")
    assert str(found) == "s = 10, b = 40 (s and b at the bound): 140 B of 1 KiB"
    assert found.as_dict()["at_bound"] == ["s", "b"]
    assert fit(plan, 50, ["s"]).at_bound == ()
    assert fit(plan, 150, ["s"]).at_bound == ("s",)


def test_what_depends_on_what_is_not_planned_cannot_be_fitted() -> None:
    plan = planned(10 * s, s=(1, 9), b=(1, None))
    plan.unplanned = (SimpleNamespace(size=4 * b * s),)
    assert fit(plan, 100, "s").values == {"s": 9, "b": 1}
    for maximize, subject_to in (("b", {"b": (None, 50)}), ("s", {"b": 7}), ({"s": 1, "b": 1}, {})):
        with pytest.raises(UnboundedDimension, match=r"depends on b are outside .*Dim\('b', max="):
            fit(plan, 100, maximize, subject_to)


def test_without_a_time_limit_it_searches_to_the_end() -> None:
    assert fit(planned(10 * s, s=(1, 9)), 50, "s", time_limit=None).values == {"s": 5}


def test_bounds_in_the_wrong_order_are_named() -> None:
    with pytest.raises(InvalidBounds, match="at least 6 and at most 5"):
        fit(planned(s, s=(1, 10)), 100, "s", {"s": (6, 5)})


def test_it_is_shown_and_written_as_json() -> None:
    found = fit(LLAMA_PLAN, "6GiB", "s", {"c": 512, "b": 1})
    assert "c = 512, b = 1: 6 GiB of 6 GiB" in str(found)
    assert json.loads(json.dumps(found.as_dict()))["values"] == found.values


relations = st.sampled_from(
    [
        (sympy.Ge(s, b, evaluate=False),),
        (sympy.Le(2 * s, b + c, evaluate=False), sympy.Ge(c, b, evaluate=False)),
        (sympy.Ge(s, b, evaluate=False), sympy.Ge(b, s, evaluate=False)),
    ]
)


@settings(max_examples=60, deadline=None)
@given(growing, boxes, st.integers(1, 4000), some_names, relations)
def test_relations_between_dimensions_hold(expression, box, budget, names, relations) -> None:
    plan = planned(expression, relations=relations, **dict(zip(NAMES, box, strict=True)))
    held = [function_of(each, NAMES) for each in relations]
    known = {p: n for p, n in _all(expression, box).items() if all(r(p) for r in held)}
    good = [point for point, nbytes in known.items() if nbytes <= budget]
    if not good:
        with pytest.raises(BudgetExceeded if known else InvalidBounds):
            fit(plan, budget, names)
        return
    found = fit(plan, budget, names)
    order = [NAMES.index(name) for name in names]
    best = max(tuple(point[at] for at in order) for point in good)
    assert tuple(found.values[name] for name in names) == best
    assert known[tuple(found.values[name] for name in NAMES)] == found.nbytes


def test_a_relation_is_searched_in_a_large_range_and_without_bounds() -> None:
    shorter = (sympy.Ge(s, c, evaluate=False),)
    plan = planned(LLAMA, relations=shorter, s=(1, None), c=(1, None), b=(1, 64))
    found = fit(plan, "6GiB", ["c", "s"], {"b": 1})
    assert found.exhaustive
    longest, chunk = found.values["s"], found.values["c"]
    assert longest >= chunk > 10_000
    known = function_of(LLAMA, NAMES)
    assert known((longest, 1, chunk)) == found.nbytes <= 6 * GIB
    assert known((longest + 1, 1, chunk)) > 6 * GIB
    assert known((chunk + 1, 1, chunk + 1)) > 6 * GIB
    with pytest.raises(BudgetExceeded):
        fit(plan, "2GiB", ["c", "s"], {"b": 1})
