from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import InvalidArgument
from onecopy.store.names import check_name, check_store_name


@given(st.text(min_size=1, max_size=60))
def test_any_text_without_nul_is_a_name(name: str) -> None:
    if "\0" in name or any("\ud800" <= c <= "\udfff" for c in name):
        with pytest.raises(InvalidArgument):
            check_name(name)
    else:
        assert check_name(name).decode() == name


@pytest.mark.parametrize("name", ["a", "A-b_c.9", "_x", "x" * 100])
def test_good_store_names(name: str) -> None:
    assert check_store_name(name) == name


@pytest.mark.parametrize("name", ["", ".a", "a/b", "a\n", "x" * 101, 3])
def test_bad_store_names(name: object) -> None:
    with pytest.raises(InvalidArgument):
        check_store_name(name)
