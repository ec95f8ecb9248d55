from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.planner.budget.certificate import Walk
from onecopy.planner.budget.prober import Measured
from tests.planner.budget import modules
from tests.planner.budget.forms import planned, s

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
    for values, options in [({"x": 1}, {}), ({}, {}), ({"s": 8}, {"step": 0})]:
        with pytest.raises(InvalidArgument):
            plan.certify(values, "1MiB", **options)


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
    plan = planned(1000 + 10 * s, s=(1, upper))

    def bytes_at(value: int) -> int:
        return 1000 + each * value + square * value * value

    walk = Walk(plan, {"s": start}, budget, "s", step)
    least = start - (start - 1) // step * step
    if bytes_at(least) > budget:
        with pytest.raises(BudgetExceeded, match=rf"not even s = {least} fits .*too much; raise"):
            walk.run(_needing(bytes_at, budget))
        return
    certificate = walk.run(_needing(bytes_at, budget))
    best = certificate.values["s"]
    assert certificate.peak == bytes_at(best) <= budget
    assert (best - start) % step == 0
    if certificate.beyond is None:
        assert best + step > upper
    else:
        assert certificate.beyond.values["s"] == best + step
        assert bytes_at(best + step) > budget
    assert certificate.runs <= 30


def test_a_formula_that_is_right_needs_two_runs() -> None:
    plan = planned(1000 + 10 * s, s=(1, None))
    walk = Walk(plan, {"s": 900}, 10_000, "s", 1)
    assert walk.run(_needing(lambda value: 1000 + 10 * value, 10_000)).runs == 2
