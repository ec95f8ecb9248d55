"""JSON that is nested too deep is refused before a parser would use up the stack."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onecopy_agent import nesting

LEAVES = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(LEAVES, lambda some: st.lists(some) | st.dictionaries(st.text(), some))


@given(VALUES)
def test_json_is_read_as_it_is(value):
    assert nesting.loads(json.dumps(value)) == value


@pytest.mark.parametrize("text", ["[" * 101, '{"a": ' * 101, "[" * 101 + "]" * 101])
def test_what_is_nested_too_deep_is_refused(text):
    with pytest.raises(ValueError, match="nested deeper than 100"):
        nesting.loads(text)


def test_brackets_in_strings_are_no_levels():
    text = "[" * 500 + '\\"' + "{" * 500
    assert nesting.loads(json.dumps([text])) == [text]


@pytest.mark.parametrize("text", ["", '"', '"\\', "]" * 500, '\\"' * 100_000, '"' + "\\" * 99_999])
def test_what_is_no_json_is_refused_soon(text):
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
        nesting.loads(text)
