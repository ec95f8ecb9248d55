from __future__ import annotations

import json

import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.errors import BudgetExceeded, InvalidArgument, InvalidBounds
from onecopy.planner.budget.certificate import Ascent, Certificate
from onecopy.planner.budget.domain import Domain
from onecopy.planner.budget.prober import Measured
from tests.planner.budget import modules
from tests.planner.budget.forms import b, boxes, c, function_of, growing, planned, points, s

WEIGHTS = 4 * (64 * 512 + 512 + 512 * 64 + 64)


def test_the_largest_value_fits_and_the_next_does_not() -> None:
    torch.set_num_threads(1)
    plan = modules.planned(modules.Wide())
    found = plan.fit("3MiB", maximize=["s"])
    certificate = found.certify()
    assert certificate.best.fits
    assert certificate.peak <= 3 << 20
    assert certificate.beyond is not None
    assert not certificate.beyond.fits
    assert certificate.beyond.values["s"] == certificate.values["s"] + 1
    assert certificate.asked.values == found.values
    assert certificate.best.weights == plan.weights_nbytes == WEIGHTS
    assert certificate.best.inputs == certificate.values["s"] * 64 * 4
    assert certificate.best.rss > certificate.best.weights
    written = json.loads(json.dumps(certificate.as_dict()))
    assert (written["peak"], written["values"]) == (certificate.peak, certificate.values)
    assert f"s = {certificate.values['s']:,}: measured" in str(certificate)


def test_what_no_graph_shows_is_measured_with_a_module_of_its_own_each_time() -> None:
    torch.set_num_threads(1)
    plan = modules.planned(modules.Hungry())
    found = plan.fit("2MiB", maximize="s", processes=2)
    certificate = found.certify()
    assert not certificate.asked.fits
    assert certificate.values["s"] < found.values["s"] / 2
    best = certificate.best
    assert certificate.peak == WEIGHTS + 4 + 2 * (best.inputs + (best.allocated or 0)) <= 2 << 20
    assert 1 < certificate.runs < 12


def test_values_that_make_no_sense_are_refused() -> None:
    plan = modules.planned(modules.Wide())
    for values, options, text in [
        ({"x": 1}, {}, "`values` names x"),
        ({"s": 2.5}, {}, "s is a whole number"),
        ({"s": 8}, {"along": "x"}, "`along` names x"),
        ({"s": 8}, {"along": []}, "name the dimension"),
        ({"s": 8}, {"along": 5}, "a name or a list of names"),
        ({"s": 8}, {"step": 0}, "the step of s is 1 or more"),
        ({"s": 8}, {"step": 1.5}, "the step of s is a whole number"),
        ({"s": 8}, {"step": {"x": 1}}, "`step` names x"),
        ({"s": 8}, {"processes": 0}, "one process or more"),
        ({"s": 8}, {"subject_to": {"s": "x"}}, "subject to a whole number"),
    ]:
        with pytest.raises(InvalidArgument, match=text):
            plan.certify(values, "1MiB", **options)


def test_it_stays_within_what_fit_was_subject_to() -> None:
    torch.set_num_threads(1)
    plan = modules.planned(modules.Wide())
    certificate = plan.fit("3MiB", "s", {"s": (None, 50)}).certify()
    assert certificate.values == {"s": 50}
    assert certificate.beyond is None


NAMES = ("s", "b", "c")


def ascent(plan, values, budget, along, steps, needed) -> Certificate:
    """Certify with what a run would need, were it to need what a formula says."""

    def measure(values, limit):
        nbytes = needed(tuple(values[name] for name in NAMES))
        return Measured(values, nbytes <= limit, 0, 0, nbytes if nbytes <= limit else None, 0, 0)

    return Ascent(plan, values, budget, Domain.of(plan.dims, {})).run(along, steps, measure)


names = st.permutations(NAMES).flatmap(lambda n: st.integers(1, 3).map(lambda k: n[:k]))


@settings(max_examples=60, deadline=None)
@given(st.data(), growing, growing, boxes, st.integers(1, 4000), names)
def test_one_after_the_other_is_the_best_that_is_measured(
    data, formula, truth, box, budget, along
) -> None:
    """Whatever the formula says, and wherever it begins, the measured best is found."""
    plan = planned(formula, **dict(zip(NAMES, box, strict=True)))
    needed = function_of(sympy.sympify(truth), NAMES)
    start = {n: data.draw(st.integers(*span)) for n, span in zip(NAMES, box, strict=True)}
    order = [NAMES.index(name) for name in along]
    others = [at for at, name in enumerate(NAMES) if name not in along]
    known = [p for p in points(box) if all(p[at] == start[NAMES[at]] for at in others)]
    good = [p for p in known if needed(p) <= budget]
    if not good:
        with pytest.raises(BudgetExceeded):
            ascent(plan, start, budget, along, {}, needed)
        return
    best = max(tuple(point[at] for at in order) for point in good)
    found = ascent(plan, start, budget, along, {}, needed)
    assert tuple(found.values[name] for name in along) == best
    assert found.asked.values == start
    for number, name in enumerate(along):
        step = found.refused[name]
        if step is None:
            assert found.values[name] == plan.dims[name].upper
        else:
            expected = {**found.values, name: found.values[name] + 1}
            expected |= {later: plan.dims[later].lower for later in along[number + 1 :]}
            assert step.values == expected
            assert needed(tuple(step.values[name] for name in NAMES)) > budget


def test_a_relation_is_an_end_as_a_bound_is() -> None:
    """n ≥ m: a module may not be run with more m than n, and with its least n after an m."""
    shorter = (sympy.Ge(b, s, evaluate=False),)
    plan = planned(10 * s + b + c, relations=shorter, s=(1, 99), b=(1, 60), c=(1, 1))
    start = {"s": 5, "b": 9, "c": 1}
    found = ascent(plan, start, 10**6, ["s", "b"], {}, lambda point: 20 * point[0] + point[1])
    assert found.values == {"s": 60, "b": 60, "c": 1}
    assert found.refused == {"s": None, "b": None}
    found = ascent(plan, start, 100, ["s", "b"], {}, lambda point: 20 * point[0] + point[1])
    assert found.values == {"s": 4, "b": 20, "c": 1}


def test_values_that_are_not_allowed_are_no_place_to_begin() -> None:
    shorter = (sympy.Ge(b, s, evaluate=False),)
    plan = planned(s + b + c, relations=shorter, s=(1, 99), b=(1, 60), c=(1, 1))
    with pytest.raises(InvalidBounds, match="relations"):
        ascent(plan, {"s": 9, "b": 5, "c": 1}, 100, ["s"], {}, sum)
    endless = planned(s + b + c, s=(1, None), b=(1, 60), c=(1, 1))
    with pytest.raises(InvalidArgument, match="s has no upper bound: `values` needs"):
        Ascent(endless, {"b": 5, "c": 1}, 100, Domain.of(endless.dims, {}))
    with pytest.raises(InvalidBounds, match="not within `subject_to`"):
        Ascent(plan, {"s": 9, "b": 9, "c": 1}, 100, Domain.of(plan.dims, {"s": (10, None)}))


def test_each_dimension_has_a_step_of_its_own_and_bounds_are_steps_too() -> None:
    plan = planned(10 * s + b + c, s=(1, 99), b=(1, 60), c=(1, 1))
    start = {"s": 10, "b": 10, "c": 1}
    needed = lambda point: 10 * point[0] + point[1] + point[2]  # noqa: E731
    found = ascent(plan, start, 500, ["s", "b"], {"s": 16, "b": 8}, needed)
    assert found.values == {"s": 42, "b": 60, "c": 1}
    assert found.refused["s"].values == {"s": 58, "b": 1, "c": 1}
