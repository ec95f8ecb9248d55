"""The search itself; `test_fitting` has it with all that is around it."""

from __future__ import annotations

import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner.budget.boxes import least
from onecopy.planner.budget.form import Form
from onecopy.planner.budget.search import Search
from tests.planner.budget.forms import anything, boxes, function_of, growing, points, s

NAMES = ("s", "b", "c")

weights = st.tuples(*[st.integers(-3, 9)] * 3)


@settings(max_examples=60, deadline=None)
@given(st.one_of(growing, anything), boxes, st.integers(1, 2000), weights)
def test_it_finds_what_trying_all_finds_wherever_it_starts(expression, box, budget, weights):
    function = function_of(sympy.sympify(expression), NAMES)
    fits = [point for point in points(box) if function(point) <= budget]
    form = Form(expression, NAMES)
    if not fits:
        assert least(form, box)[0] > budget
        return

    def aim(point):
        return sum(weight * value for weight, value in zip(weights, point, strict=True))

    for start in (fits[0], fits[-1], max(fits, key=aim)):
        found = Search(form, box, weights, budget, start).run()
        assert found.exhaustive
        assert form(found.point) <= budget
        assert aim(found.point) == max(map(aim, fits))


def test_after_the_deadline_it_has_what_it_began_with_at_least() -> None:
    ragged = sum(sympy.floor(s * s / n) - sympy.floor(3 * s / (n + 1)) for n in range(1, 9))
    form, start = Form(ragged, NAMES), (1, 0, 0)
    found = Search(form, ((0, 10**6), (0, 0), (0, 0)), (1, 0, 0), 10**4, start).run(deadline=0)
    assert found.point >= start
    assert form(found.point) <= 10**4
