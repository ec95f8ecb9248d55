from __future__ import annotations

import math

import pytest
from hypothesis import given, settings

from onecopy.errors import UnboundedDimension
from onecopy.planner.budget.boxes import capped, halves, least, samples
from onecopy.planner.budget.form import Form
from tests.planner.budget.forms import anything, b, boxes, points, s

NAMES = ("s", "b", "c")


@given(boxes)
def test_halves_have_every_point_once(box) -> None:
    found = [
        point for half in halves(box, [high - low for low, high in box]) for point in points(half)
    ]
    everything = list(points(box))
    assert sorted(found) == (everything if len(everything) > 1 else [])
    assert set(samples(box)) <= set(everything)


@settings(max_examples=60, deadline=None)
@given(anything, boxes)
def test_the_least_is_what_trying_all_finds(expression, box) -> None:
    form = Form(expression, NAMES)
    value, place = least(form, box)
    assert value == form(place) == min(map(form, points(box)))


def test_nothing_fits_beyond_a_cap() -> None:
    form = Form(3 * s * s + 5 * b, ("s", "b"))
    box = capped(form, ((1, math.inf), (2, math.inf)), 1000, ["s"])
    assert form((int(box[0][1]), 2)) > 1000
    assert form((1, int(box[1][1]))) > 1000


def test_what_costs_nothing_has_no_cap() -> None:
    form = Form(3 * s, ("s", "b"))
    infinite = ((1, 10), (2, math.inf))
    assert capped(form, infinite, 1000, ["s"]) == ((1, 10), (2, 2))
    with pytest.raises(UnboundedDimension, match="b has no upper bound"):
        capped(form, infinite, 1000, ["b"])
