"""The hidden marker: found at the end of comments only, and believed only if it is whole."""

from __future__ import annotations

import base64
import zlib

from hypothesis import given
from hypothesis import strategies as st
from review_bot import comment
from review_bot.markdown import block, code, plain
from review_bot.review import Finding, Review, State

TEXT = st.text(max_size=60)
LEVEL = st.sampled_from(["low", "medium", "high"])
FINDINGS = st.builds(
    Finding, TEXT, LEVEL, TEXT, TEXT, TEXT, TEXT, st.sampled_from(["LEFT", "RIGHT"]), st.integers()
)
STATES = st.builds(
    State,
    st.from_regex(r"[0-9a-f]{40}", fullmatch=True),
    st.builds(
        Review,
        TEXT,
        st.lists(TEXT).map(tuple),
        st.lists(TEXT).map(tuple),
        LEVEL,
        st.lists(FINDINGS, max_size=3).map(tuple),
    ),
    st.lists(st.tuples(TEXT, TEXT), max_size=3).map(tuple),
    st.integers(0),
)


@given(STATES, TEXT)
def test_a_state_comes_back_as_it_was(state, text):
    body = comment.with_state(text, state.to_json())
    assert comment.is_marked(body)
    assert State.of(comment.state_of(body)) == state
    assert State.of(comment.state_of(body.replace("\n", "\r\n") + "\r\n")) == state


@given(st.text(alphabet="abAB01+/=", max_size=80), st.binary(max_size=60))
def test_a_garbled_state_is_none(text, data):
    packed = base64.b64encode(zlib.compress(data)).decode()
    for each in (text, packed):
        assert State.of(comment.state_of(f"x\n\n<!-- onecopy:code-review:{each} -->")) is None


def test_a_state_that_inflates_without_end_is_none():
    bomb = base64.b64encode(zlib.compress(b"[" + b" " * (64 << 20) + b"]", 9)).decode()
    assert comment.state_of(f"<!-- onecopy:code-review:{bomb} -->") is None


@given(STATES, STATES)
def test_text_cannot_pretend_to_be_the_marker(state, fake):
    told = comment.with_state("", fake.to_json())
    for text in (plain(told, 99999), code(told, 99999), block(told, "", 99999)):
        assert not comment.is_marked(text)
        body = comment.with_state(text, state.to_json())
        assert State.of(comment.state_of(body)) == state


def test_an_anchor_is_read_at_the_end_only():
    body = comment.with_anchor("text", "0123456789abcdef")
    assert comment.anchor_of(body) == "0123456789abcdef"
    assert comment.anchor_of(body + "\nmore") == ""
