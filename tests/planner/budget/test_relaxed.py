from __future__ import annotations

import sympy
from hypothesis import given, settings

from onecopy.planner.budget.form import Form
from onecopy.planner.budget.relaxed import Relaxed
from tests.planner.budget.forms import LLAMA, anything, b, boxes, c, growing, points, s

SYMBOLS = (s, b, c)


def _check(expression, box) -> None:
    relaxed = Relaxed.of(sympy.sympify(expression), SYMBOLS, box)
    if relaxed is None:
        return
    form = Form(expression, ("s", "b", "c"))
    low, high = (tuple(span[end] for span in box) for end in (0, 1))
    middle = tuple((low + high) // 2 for low, high in box)
    for start in (low, middle):
        for value, slopes in relaxed.linear(start, high):
            for point in points(zip(start, high, strict=True)):
                steps = zip(point, start, slopes, strict=True)
                assert form(point) >= value + sum((x - o) * rise for x, o, rise in steps)


@settings(max_examples=60, deadline=None)
@given(growing, boxes)
def test_no_growing_form_is_below_its_bound(expression, box) -> None:
    _check(expression, box)


@settings(max_examples=80, deadline=None)
@given(anything, boxes)
def test_no_form_is_below_its_bound(expression, box) -> None:
    _check(expression, box)


def test_polynomials_are_met_where_the_bound_begins() -> None:
    box = ((1, 9999), (1, 99), (512, 9999))
    start = (100, 3, 600)
    relaxed = Relaxed.of(LLAMA, SYMBOLS, box)
    assert relaxed is not None
    value, _ = next(relaxed.linear(start))
    assert value == Form(LLAMA, ("s", "b", "c"))(start)


def test_what_falls_in_products_has_no_bound() -> None:
    assert Relaxed.of(s * b - s * b * c, SYMBOLS, ((0, 5), (0, 5), (0, 5))) is None


def test_parameters_with_one_value_do_not_count() -> None:
    assert Relaxed.of(9 * s * b - s * b * c, SYMBOLS, ((0, 5), (0, 5), (3, 3))) is not None
