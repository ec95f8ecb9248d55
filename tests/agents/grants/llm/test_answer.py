"""An answer put together from its pieces; how endpoints deliver them is in test_endpoint.py."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.agents.calls import UNAVAILABLE, Refused
from onecopy.agents.grants.llm.answer import Answer, said


def add(answer: Answer, **chunk: Any) -> None:
    answer.add(json.dumps(chunk).encode())


def choice(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": finish}


@given(pieces=st.lists(st.text()))
def test_the_content_is_all_pieces_in_their_order(pieces: list[str]) -> None:
    answer = Answer("m")
    for piece in pieces:
        add(answer, choices=[choice(content=piece)])
    assert answer.started == any(pieces)
    if answer.started:
        message = answer.response(1)["choices"][0]["message"]
        assert message["content"] == "".join(pieces)


def test_only_the_first_of_several_answers_counts() -> None:
    answer = Answer("m")
    add(answer, choices=[choice(1, "stop", content="other"), choice(0, None, content="mine")])
    assert answer.finish_reason is None
    assert answer.response(1)["choices"][0]["message"]["content"] == "mine"


def test_thoughts_are_counted_and_not_handed_on() -> None:
    answer = Answer("m")
    answer.accepted = True
    add(answer, choices=[choice(reasoning_content="x" * 300)])
    assert answer.tokens(7) == (7, 100, True)
    with pytest.raises(Refused):
        answer.response(7)


def test_nothing_that_was_not_accepted_is_paid_for() -> None:
    assert Answer("m").tokens(100) == (0, 0, True)


def test_a_refusal_of_the_model_is_an_answer() -> None:
    answer = Answer("m")
    add(answer, choices=[choice(finish="stop", refusal="I cannot.")])
    message = answer.response(1)["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, "I cannot.")


@given(data=st.binary(max_size=100))
def test_any_bytes_are_a_piece_or_a_refusal(data: bytes) -> None:
    try:
        Answer("m").add(data)
    except Refused as refused:
        code = refused.refusal.code
    else:
        code = UNAVAILABLE
    assert code == UNAVAILABLE


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"code": "c", "message": "m"}, "c m"),
        ({"code": None, "message": "m"}, "m"),
        ({"detail": [1]}, '{"detail":[1]}'),
        ("text", "text"),
        (5, "5"),
    ],
)
def test_errors_are_told_in_their_own_words(error: Any, text: str) -> None:
    assert said(error) == text
