"""The tokenizer of bytes."""

from __future__ import annotations

from onecopy.guests.decoding.byte_tokenizer import byte_tokenizer, trained_tokenizer
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.vocabulary import Vocabulary


def test_the_vocabulary_of_bytes_spells_every_byte() -> None:
    with Vocabulary.from_tokenizer(byte_tokenizer()) as vocabulary:
        assert vocabulary.tokens() == [*(bytes([i]) for i in range(256)), b""]
        assert vocabulary.eos == 256


def test_every_text_is_its_bytes() -> None:
    with Vocabulary.from_tokenizer(byte_tokenizer()) as vocabulary:
        text = "a b\n\tä€ \x00".encode()
        assert Grammars(vocabulary).tokenize(text) == list(text)


def test_a_trained_one_ends_texts_by_token_0_and_spells_every_byte() -> None:
    tokenizer = trained_tokenizer(["a store, a store"] * 9, 300, end="<end>")
    assert tokenizer.token_to_id("<end>") == 0
    text = "a store: \x00\u00e9\U0001f600"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert len(tokenizer.encode("a store").ids) < len("a store")
