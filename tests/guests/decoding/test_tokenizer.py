"""Reading a tokenizer.json."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer

from onecopy import InvalidArgument, UnsupportedValue
from onecopy.guests.decoding.tokenizer import read, tokenizer_text
from tests.guests.tokenizers_of import byte_level, pieces, word_piece


def test_every_byte_has_a_token_in_a_byte_level_tokenizer():
    assert {bytes([i]) for i in range(256)} <= set(read(byte_level()).tokens)


def test_text_can_come_from_an_object_a_path_or_a_text(tmp_path):
    tokenizer = Tokenizer.from_str(byte_level())
    path = tmp_path / "tokenizer.json"
    path.write_text(byte_level())
    assert tokenizer_text(tokenizer) == tokenizer_text(path) == byte_level()


def test_added_tokens_have_their_text_unless_they_are_special():
    tokenizer = Tokenizer.from_str(byte_level())
    tokenizer.add_tokens(["caf\u00e9 "])
    tokenizer.add_special_tokens(["<tool>"])
    tokens = read(tokenizer.to_str()).tokens
    assert tokens[tokenizer.token_to_id("caf\u00e9 ")] == "caf\u00e9 ".encode()
    assert tokens[tokenizer.token_to_id("<tool>")] == b""


def test_padding_and_truncation_are_left_out():
    tokenizer = Tokenizer.from_str(byte_level())
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding()
    document = json.loads(read(tokenizer.to_str()).text)
    assert (document["truncation"], document["padding"]) == (None, None)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_the_text_that_is_kept_still_tokenizes_alike(kind):
    tokenizer = pieces(kind)
    kept = Tokenizer.from_str(read(tokenizer.to_str()).text)
    assert kept.encode("ab b\n").ids == tokenizer.encode("ab b\n").ids


def test_word_pieces_are_refused_with_a_reason():
    with pytest.raises(UnsupportedValue, match="WordPiece"):
        read(word_piece())


def test_what_is_no_tokenizer_is_refused():
    for text in ("", "{}", "[1]", '{"model": {"vocab": 3}}'):
        with pytest.raises(InvalidArgument, match="tokenizer"):
            read(text)
    with pytest.raises(UnsupportedValue, match="dict"):
        tokenizer_text({})
