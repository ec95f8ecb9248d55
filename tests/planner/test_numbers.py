from __future__ import annotations

import pytest

from onecopy.errors import InvalidArgument
from onecopy.planner.numbers import whole


def test_whole_numbers_are_those_that_can_be_an_index() -> None:
    np = pytest.importorskip("numpy")
    for value in (3, np.int64(3), np.uint8(3)):
        assert type(whole(value, "n")) is int
        assert whole(value, "n") == 3


@pytest.mark.parametrize("value", [3.0, "3", None, True, [3], float("nan")])
def test_others_are_refused_by_name(value: object) -> None:
    with pytest.raises(InvalidArgument, match="the step of n is a whole number, not"):
        whole(value, "the step of n")
