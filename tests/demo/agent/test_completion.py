"""Answers as the OpenAI API has them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.demo.agent.completion import Completion, fitted, tokens_of


@given(text=st.text())
def test_tokens_are_all_of_a_text(text: str) -> None:
    assert "".join(tokens_of(text)) == text


@pytest.mark.parametrize(("most", "reason"), [(None, "stop"), (3, "length"), (100, "stop")])
def test_a_stream_says_the_same_as_the_whole(most: int | None, reason: str) -> None:
    done = Completion("m", "one two three four, five", 9, most)
    events = [each.removeprefix(b"data: ").strip() for each in done.events(with_usage=True)]
    assert events.pop() == b"[DONE]"
    chunks = [json.loads(each) for each in events]
    text = "".join(c["choices"][0]["delta"].get("content", "") for c in chunks[:-1])
    whole = done.whole()
    assert whole["choices"][0]["message"]["content"] == text
    assert chunks[-2]["choices"][0]["finish_reason"] == reason
    assert whole["choices"][0]["finish_reason"] == reason
    assert chunks[-1]["usage"] == whole["usage"]
    assert whole["usage"]["completion_tokens"] == min(most or 100, 6)
    assert not any("usage" in json.loads(e[6:]) for e in [*done.events(with_usage=False)][:-1])


def test_an_answer_is_made_to_fit_a_schema() -> None:
    schema = {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "level": {"enum": ["low", "high"]},
            "count": {"type": "integer"},
            "more": {"type": "object", "properties": {"flag": {"type": "boolean"}}},
            "list": {"type": "array", "items": {"properties": {"a": {}}}},
            "none": {"type": "array"},
        },
    }
    given = {"text": "x", "other": 1, "list": [{"a": 1, "b": 2}]}
    assert fitted(given, schema) == {
        "text": "x",
        "level": "low",
        "count": 0,
        "more": {"flag": False},
        "list": [{"a": 1}],
        "none": [],
    }
    assert fitted(given, True) == given
