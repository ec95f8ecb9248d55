"""One conversation, as the process of a text model has it."""

from __future__ import annotations

import json

import pytest

from onecopy.errors import (
    ContextFull,
    EndOfSequence,
    InferenceFailed,
    InvalidArgument,
    PromptTooLong,
)
from onecopy.nn.service.generation import Generation, options_of
from tests.nn.arithmetic import Conversation, Counting


def counting(room: int = 1000, **options) -> Generation:
    return Generation(Counting(room=room), options)


def test_a_text_grows_by_tokens_and_ends() -> None:
    text = counting(length=2)
    assert text.done
    text.begin(b"n", b"")
    assert [text.advance(), text.advance()] == [b"n1 ", b"n2 "]
    for _ in range(2):
        with pytest.raises(EndOfSequence):
            text.advance()
    assert text.done
    assert text.text == b"n1 n2 "
    assert json.loads(text.metadata()) == {"input_tokens": 1, "output_tokens": 2}


def test_options_of_a_prompt_count_before_those_of_the_graph() -> None:
    text = counting(length=2)
    text.begin(b"n", b'{"length": 1}')
    while not text.done:
        text.step()
    assert text.text == b"n1 "


def test_a_text_as_a_whole_that_fills_the_context_is_there_with_its_reason() -> None:
    text = counting(room=1)
    text.begin(b"n", b"")
    while not text.done:
        text.step()
    assert text.text == b"n1 "
    assert isinstance(text.ended, ContextFull)
    with pytest.raises(ContextFull):
        text.advance()


def test_forgetting_leaves_no_text() -> None:
    text = counting()
    text.begin(b"n", b"")
    text.advance()
    text.forget()
    assert (text.text, text.done, text.ended) == (b"", True, None)
    with pytest.raises(EndOfSequence, match="begin another"):
        text.advance()


def test_preparing_tells_of_a_prompt_and_begins_nothing() -> None:
    text = counting()
    text.prepare(b"four", b"")
    assert json.loads(text.metadata())["input_tokens"] == 4
    assert text.done


def test_an_embedding_is_a_text_at_once() -> None:
    text = counting(embedding=True)
    text.begin(b"word", b"")
    assert text.done
    assert json.loads(text.text) == {"n_embedding": 2, "embedding": [4.0, 0.5]}


class TooLong(Conversation):
    def begin(self, prompt, options):
        super().begin(prompt, options)
        raise PromptTooLong("too long")


def test_a_prompt_that_is_too_long_has_metadata_and_no_text(monkeypatch) -> None:
    monkeypatch.setattr(Counting, "session", lambda *_: TooLong(5, 10, ""))
    text = counting()
    text.prepare(b"long", b"")
    text.begin(b"long", b"")
    assert json.loads(text.metadata())["input_tokens"] == 4
    with pytest.raises(PromptTooLong):
        text.advance()


class Failing(Conversation):
    def advance(self):
        raise InferenceFailed("it failed")


def test_a_failure_ends_the_text_and_the_next_one_begins(monkeypatch) -> None:
    monkeypatch.setattr(Counting, "session", lambda *_: Failing(5, 10, ""))
    text = counting()
    text.begin(b"n", b"")
    with pytest.raises(InferenceFailed):
        text.step()
    assert text.done
    text.begin(b"n", b"")
    assert not text.done


@pytest.mark.parametrize("options", [b"[]", b"1", b"{", b"\xff", b'{"a":' * 2000, '"x"'])
def test_options_that_are_no_object_are_refused(options) -> None:
    with pytest.raises(InvalidArgument, match="JSON object"):
        options_of(options)


def test_no_options_are_none() -> None:
    assert options_of("") == options_of(b"") == options_of(b"{}") == {}
