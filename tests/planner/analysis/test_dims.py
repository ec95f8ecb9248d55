from __future__ import annotations

import pytest

from onecopy.errors import InvalidArgument, InvalidBounds, UnboundedDimension
from onecopy.planner.analysis.dims import check_names, dimension, refuse_unbounded, symbol_of


@pytest.mark.parametrize(("lower", "upper"), [(5, 4), (-1, 4), (-3, -2), (0, -1)])
def test_bounds_that_no_size_can_have_are_refused(lower: int, upper: int) -> None:
    with pytest.raises(InvalidBounds, match=r"'n'.*(raise|lower)"):
        dimension("n", lower, upper)


def test_without_a_lower_bound_a_size_may_be_0() -> None:
    assert dimension("n", None, 4).checked(0) == 0


def test_values_are_checked_against_the_bounds() -> None:
    dim = dimension("n", 2, 4)
    assert dim.checked(4) == 4
    for value in (1, 5):
        with pytest.raises(InvalidBounds, match=r"\[2, 4\]"):
            dim.checked(value)
    with pytest.raises(InvalidBounds, match="∞"):
        dimension("n", 2, None).checked(1)


def test_the_symbol_of_a_name_is_always_the_same() -> None:
    assert dimension("n", 0, 4).symbol == symbol_of("n") == dimension("n", 1, None).symbol


@pytest.mark.parametrize("name", ["self", "outputs", "alignment"])
def test_names_that_methods_of_a_plan_need_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgument, match=name):
        dimension(name, 0, 4)


def test_all_dimensions_without_a_bound_are_named_at_once() -> None:
    dims = {name: dimension(name, 0, None) for name in ("b", "a", "c")}
    with pytest.raises(UnboundedDimension, match="'a', 'b'"):
        refuse_unbounded(dims, ["c"])
    refuse_unbounded(dims, ["a", "b", "c"])


def test_unknown_names_are_told_beside_the_known_ones() -> None:
    with pytest.raises(InvalidArgument, match=r"the call names z, .* are: a"):
        check_names({"a": dimension("a", 0, 1)}, ["z"], "the call")
