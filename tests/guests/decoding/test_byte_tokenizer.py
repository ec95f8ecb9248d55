"""The tokenizer of bytes."""

from __future__ import annotations

from onecopy.guests.decoding.byte_tokenizer import byte_tokenizer
from onecopy.guests.decoding.grammar import Grammars
from onecopy.guests.decoding.vocabulary import Vocabulary


def test_the_vocabulary_of_bytes_spells_every_byte() -> None:
    with Vocabulary.from_tokenizer(byte_tokenizer()) as vocabulary:
        assert vocabulary.tokens() == [*(bytes([i]) for i in range(256)), b""]
        assert vocabulary.eos == 256


def test_every_text_is_its_bytes() -> None:
    with Vocabulary.from_tokenizer(byte_tokenizer()) as vocabulary:
        text = "a b\n\tä€ \x00".encode()
        assert Grammars(vocabulary).tokenize(text) == list(text)
