"""Calls of a guest's function, as they go to its worker."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.guests.workers.calls import Prepared
from onecopy.guests.workers.function import Function
from onecopy.guests.workers.messages import CALL_KIND, Call, arguments

PARAMS = ("i32", "f64", "i64")


@pytest.fixture
def function() -> Function:
    return Function("mix", 7, Prepared(3, PARAMS, None))


def cells(request: bytes, params: tuple[str, ...] = PARAMS) -> tuple[float, ...]:
    return arguments(params).unpack_from(request, Call.REQUEST.size)


def test_a_request_says_what_is_called_and_for_how_long(function: Function) -> None:
    request = function.request([1, 2.5, 3], 0.25)
    assert Call.REQUEST.unpack_from(request) == (CALL_KIND, 3, 7, 0.25)
    assert cells(request) == (1, 2.5, 3)


@given(number=st.integers(-(1 << 80), 1 << 80))
def test_integers_wrap_around_as_in_c(number: int) -> None:
    function = Function("f", 1, Prepared(0, ("i64",), None))
    (cell,) = cells(function.request([number], 1), ("i64",))
    assert (int(cell) - number) % (1 << 64) == 0


@given(number=st.floats(allow_nan=False) | st.integers(-1000, 1000))
def test_floats_stay_what_they_are(number: float) -> None:
    function = Function("f", 1, Prepared(0, ("f64",), None))
    assert cells(function.request([number], 1), ("f64",)) == (number,)


def test_too_few_or_too_many_numbers_are_refused(function: Function) -> None:
    for numbers in ([], [1, 2.0], [1, 2.0, 3, 4]):
        with pytest.raises(TypeError, match=f"mix takes 3 numbers, not {len(numbers)}"):
            function.request(numbers, 1)


def test_a_fraction_for_an_integer_is_refused_with_the_remedy(function: Function) -> None:
    with pytest.raises(TypeError, match="round it first"):
        function.request([1.5, 2.0, 3], 1)
