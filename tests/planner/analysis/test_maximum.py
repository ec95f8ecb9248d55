from __future__ import annotations

from typing import Any

import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner.analysis.maximum import maximum
from tests.planner.analysis.expressions import BOX, M, N, expressions, points, value


@settings(max_examples=60, deadline=None)
@given(expression=expressions())
def test_it_is_the_largest_of_all_points(expression: Any) -> None:
    assert maximum(expression, BOX) == max(value(expression, point) for point in points())


@settings(max_examples=40, deadline=None)
@given(expression=expressions(), relation=st.sampled_from([N >= M, M >= N, N <= 2 * M, N >= 3 * M]))
def test_points_at_which_a_relation_fails_do_not_count(expression: Any, relation: Any) -> None:
    kept = [point for point in points() if relation.subs(point) == True]  # noqa: E712
    assert maximum(expression, BOX, [relation]) == max(value(expression, point) for point in kept)


def test_factors_that_cannot_be_large_together_are_not_multiplied() -> None:
    size = sympy.expand(4 * N * M * sympy.Max(N - M, 1))
    assert maximum(size, {N: (0, 20), M: (0, 5)}) == 6000


def test_large_boxes_are_quick_for_sizes_that_only_grow() -> None:
    size = 100 * N * M + 3 * M**2 + sympy.floor(N / 2) * M
    box = {N: (1, 10**6), M: (0, 10**6)}
    assert maximum(size, box, most_boxes=3) == size.subs({N: 10**6, M: 10**6})


def test_when_time_is_up_it_is_too_large_rather_than_too_small() -> None:
    size = sympy.expand(N * (20000 - N) * M)
    assert maximum(size, {N: (0, 20000), M: (1, 7)}, most_boxes=3) >= 7 * 10000**2


def test_no_bound_is_infinite_and_no_point_is_minus_infinity() -> None:
    assert maximum(N + M, {N: (0, float("inf")), M: (1, 5)}) == float("inf")
    assert maximum(N + M, BOX, [N >= 9 * M]) == -float("inf")
