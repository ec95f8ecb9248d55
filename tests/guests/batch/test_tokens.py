"""Tokens as hosts give them."""

from __future__ import annotations

from array import array
from typing import Any

import pytest

from onecopy import InvalidArgument, UnsupportedValue
from onecopy.guests.batch.tokens import checked_tokens

np = pytest.importorskip("numpy")


@pytest.mark.parametrize(
    "tokens", [[5], (5,), [5, 0, 99], (), array("I", [1, 2]), np.array([7, 8]), [True], range(3)]
)
def test_any_sequence_of_numbers_will_do(tokens: Any) -> None:
    checked = checked_tokens(tokens, 100)
    assert checked == list(tokens)
    assert {type(each) for each in checked} <= {int}


@pytest.mark.parametrize("tokens", [[100], [-1], [1, 100], (0, -1), np.array([1 << 40])])
def test_one_outside_the_vocabulary_is_refused(tokens: Any) -> None:
    with pytest.raises(
        InvalidArgument, match=r"token -?\d+ is outside the vocabulary of 100; .*size="
    ):
        checked_tokens(tokens, 100)


@pytest.mark.parametrize("tokens", ["text", [1.0], 5, None, [None], np.array([1.5])])
def test_what_is_no_numbers_is_refused(tokens: Any) -> None:
    with pytest.raises(UnsupportedValue, match="tokenize"):
        checked_tokens(tokens, 100)
