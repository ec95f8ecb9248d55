from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import InvalidArgument, InvalidBounds
from onecopy.planner.budget.domain import Domain
from tests.planner.budget.forms import planned, s

ends = st.one_of(st.none(), st.integers(-5, 30))


@given(lower=st.integers(0, 10), width=st.one_of(st.none(), st.integers(0, 10)), wish=ends)
def test_a_value_is_allowed_where_the_plan_allows_it(lower: int, width: int, wish: int) -> None:
    upper = None if width is None else lower + width
    dims = planned(s, s=(lower, upper)).dims
    if wish is None:
        assert Domain.of(dims, {"s": wish}).box == ((lower, math.inf if upper is None else upper),)
    elif wish < lower or (upper is not None and wish > upper):
        with pytest.raises(InvalidBounds, match=rf"s cannot be {wish}: the plan has it"):
            Domain.of(dims, {"s": wish})
    else:
        assert Domain.of(dims, {"s": wish}).box == ((wish, wish),)


@given(lower=st.integers(0, 9), upper=st.one_of(st.none(), st.integers(9, 20)), low=ends, high=ends)
def test_bounds_leave_what_both_allow(lower: int, upper: int, low: int, high: int) -> None:
    dims = planned(s, s=(lower, upper)).dims
    allowed = [
        value
        for value in range(-5, 60)
        if value >= lower and (upper is None or value <= upper)
        if (low is None or value >= low) and (high is None or value <= high)
    ]
    if not allowed:
        with pytest.raises(InvalidBounds, match="s cannot be"):
            Domain.of(dims, {"s": (low, high)})
        return
    domain = Domain.of(dims, {"s": (low, high)})
    endless = upper is None and high is None
    assert domain.span("s") == (allowed[0], math.inf if endless else allowed[-1])


def test_a_list_is_a_pair_of_bounds_too() -> None:
    assert Domain.of(planned(s, s=(0, 9)).dims, {"s": [2, None]}).box == ((2, 9),)


@pytest.mark.parametrize("wish", [True, 2.5, "3", (1, 2, 3), (1, "x"), (False, 3), object()])
def test_what_is_no_number_is_refused(wish: object) -> None:
    with pytest.raises(InvalidArgument, match="s is subject to a whole number or"):
        Domain.of(planned(s, s=(0, 9)).dims, {"s": wish})


def test_points_have_the_names_of_the_dimensions() -> None:
    domain = Domain.of(planned(s, s=(0, 9), b=(1, 2)).dims, {})
    assert domain.values((3, 1)) == {"s": 3, "b": 1}
