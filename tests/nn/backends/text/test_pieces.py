from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.nn.backends.text.pieces import Pieces
from tests.guests import tokenizers_of
from tests.nn.backends.text import zoo as text_zoo

pytest.importorskip("transformers")


def pieces_of(backend: Any) -> Pieces:
    return Pieces(SimpleNamespace(backend_tokenizer=backend))


def joined(pieces: Pieces, tokens: list[int]) -> bytes:
    push = pieces.stream()
    return b"".join(map(push, tokens))


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="|"), max_size=40))
def test_pieces_of_byte_level_tokens_are_the_text(text: str) -> None:
    tokenizer = text_zoo.tokenizer()
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert joined(Pieces(tokenizer), tokens).decode() == text


@given(st.text(st.sampled_from("ab é😀\n"), max_size=40))
def test_pieces_of_sentence_pieces_keep_every_space(text: str) -> None:
    backend = tokenizers_of.pieces("bpe")
    tokens = backend.encode(text, add_special_tokens=False).ids
    # Such tokenizers write a space before a text.
    assert joined(pieces_of(backend), tokens).decode() == (" " + text if text else "")


def test_a_piece_may_end_within_a_character() -> None:
    tokenizer = text_zoo.tokenizer()
    tokens = tokenizer("\U0001f980", add_special_tokens=False)["input_ids"]
    push = Pieces(tokenizer).stream()
    pieces = [push(token) for token in tokens]
    assert len(pieces) > 1
    assert pieces[0] != b""
    assert b"".join(pieces).decode() == "\U0001f980"


def test_special_tokens_and_those_a_tokenizer_lacks_add_nothing() -> None:
    tokenizer = text_zoo.tokenizer()
    assert joined(Pieces(tokenizer), [tokenizer.eos_token_id, 10_000]) == b""


def test_other_tokenizers_give_text_by_their_decoder() -> None:
    from tokenizers import Tokenizer

    backend = Tokenizer.from_str(tokenizers_of.word_piece())
    assert joined(pieces_of(backend), [1, 2, 1]) == b"ab a"


def test_texts_of_one_tokenizer_do_not_mix() -> None:
    from tokenizers import Tokenizer

    pieces = pieces_of(Tokenizer.from_str(tokenizers_of.word_piece()))
    one, other = pieces.stream(), pieces.stream()
    assert one(1) == b"a"
    assert other(1) == b"a"
    assert one(2) == b"b"
