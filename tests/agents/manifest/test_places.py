"""Places in values: whole texts only, filled with whole values."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.manifest import places

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def test_a_place_is_filled_with_the_value_itself_and_never_with_a_text_of_it():
    asked = {"title": "{title}", "labels": ["bot", "{label}"], "repo": "{event.repo}", "n": 1}
    made = places.fill(asked, {"repo": "octo/cat"}, {"title": "a", "label": {"name": ["x"]}})
    assert made == {"title": "a", "labels": ["bot", {"name": ["x"]}], "repo": "octo/cat", "n": 1}


def test_what_is_not_given_is_left_out_of_lists_and_tables():
    assert places.fill({"a": "{a}", "b": ["{b}", 1], "c": {"d": "{d}"}}, {}, {}) == {
        "b": [1],
        "c": {},
    }
    assert places.fill("{a}", {}, {}) is msgspec.UNSET


@pytest.mark.parametrize(
    "text", ["repo:{event.repo} {text}", "{ a }", "{}", "{a}{b}", "{event.}", "{event.A}", "{a.b}"]
)
def test_a_place_within_a_text_or_none_at_all_is_a_text(text: str):
    assert places.fill(text, {}, {}) == text
    assert not places.arguments(text)
    assert not places.fields(text)


@given(JSON)
def test_an_argument_that_looks_like_a_place_stays_what_it_is(value: object):
    hostile = {"value": value, "more": "{event.repo}", "{x}": "{value}"}
    filled = places.fill({"x": "{x}"}, {"repo": "octo/cat"}, {"x": hostile, "value": "no"})
    assert filled == {"x": hostile}


def test_a_place_that_is_in_a_text_is_found():
    assert places.within("Bearer {token}") == "{token}"
    assert places.within("Bearer env:TOKEN") == ""
