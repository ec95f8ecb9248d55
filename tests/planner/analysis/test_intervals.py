from __future__ import annotations

from typing import Any

import sympy
from hypothesis import given, settings

from onecopy.planner.analysis.intervals import interval, slope
from tests.planner.analysis.expressions import BOX, M, N, expressions, points, value


@settings(max_examples=60, deadline=None)
@given(expression=expressions())
def test_every_value_in_the_box_lies_in_the_interval(expression: Any) -> None:
    low, high = interval(expression, BOX)
    assert all(low <= value(expression, point) <= high for point in points())


@settings(max_examples=60, deadline=None)
@given(expression=expressions())
def test_every_difference_of_neighbours_lies_in_the_slope(expression: Any) -> None:
    low, high = slope(expression, N, BOX)
    for point in points():
        if point[N] < BOX[N][1]:
            step = value(expression, {**point, N: point[N] + 1}) - value(expression, point)
            assert low <= step <= high


def test_a_product_of_what_grows_never_falls() -> None:
    assert slope(4 * N * M + N**2, N, BOX)[0] >= 0
    assert slope(sympy.floor(N / 2) * M, N, BOX)[0] >= 0
    assert slope(M - N, N, BOX) == (-1, -1)


def test_infinite_bounds_stay_infinite() -> None:
    box = {N: (0, float("inf")), M: (1, 5)}
    assert interval(N * M + 3, box) == (3, float("inf"))
    assert interval(sympy.Min(N, 7) * M, box) == (0, 35)
