from __future__ import annotations

import math
from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings

from onecopy.errors import InvalidArgument, UnsupportedValue
from onecopy.planner.budget.form import Form
from tests.planner.budget.forms import anything, b, boxes, c, function_of, planned, points, s

NAMES = ("s", "b", "c")


@settings(max_examples=60, deadline=None)
@given(anything, boxes)
def test_it_is_what_sympy_computes(expression, box) -> None:
    form, known = Form(expression, NAMES), function_of(sympy.sympify(expression), NAMES)
    for point in [tuple(low for low, _ in box), tuple(high for _, high in box)]:
        assert form(point) == known(point)


@settings(max_examples=60, deadline=None)
@given(anything, boxes)
def test_directions_and_lowest_values_hold_at_every_point(expression, box) -> None:
    form = Form(expression, NAMES)
    directions, lowest = form.directions(box), form.lowest(box)
    for point in points(box):
        assert form(point) >= lowest
        for at, direction in enumerate(directions):
            ahead = (*point[:at], point[at] + 1, *point[at + 1 :])
            if direction is not None and ahead[at] <= box[at][1]:
                rise = form(ahead) - form(point)
                assert rise == 0 if direction == 0 else rise * direction >= 0


def test_values_are_exact_where_floats_are_not() -> None:
    form = Form(s * b * (2**40 + 1) / 3 + sympy.Rational(1, 3), ("s", "b"))
    assert form((2**30 + 1, 1)) == Fraction((2**30 + 1) * (2**40 + 1) + 1, 3)


def test_products_of_differences_are_seen_to_grow() -> None:
    form = Form(sympy.expand(8 * b * (s - 1) + 64 * sympy.ceiling(s * b / 64)), ("s", "b"))
    assert form.directions(((1, math.inf), (1, math.inf))) == (1, 1)


def test_names_may_be_keywords() -> None:
    assert Form(2 * sympy.Symbol("lambda"), ("lambda",))((4,)) == 8


def test_what_is_no_dimension_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="no dimension"):
        Form(s + b, ("s",))


@pytest.mark.parametrize(
    "expression", [sympy.sin(s), s**0.5, sympy.Piecewise((s, s > 1), (2, True))]
)
def test_functions_that_are_not_known_are_refused(expression) -> None:
    with pytest.raises(UnsupportedValue):
        Form(expression, ("s",))


def test_infinity_is_no_number_of_bytes() -> None:
    with pytest.raises(InvalidArgument, match="finite"):
        Form(sympy.oo, ("s",))


def test_a_plan_stands_for_its_formula() -> None:
    plan = planned(3 * s * c, s=(1, 4), c=(1, 4))
    assert Form(plan.bytes, tuple(plan.dims))((2, 3)) == 18
