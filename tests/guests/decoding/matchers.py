"""What every engine of grammars must do; its tests inherit this and make an engine."""

from __future__ import annotations

import pytest

from onecopy.errors import InvalidGrammar
from onecopy.guests.decoding.grammar_engine import Engine
from onecopy.guests.decoding.vocabulary import Vocabulary
from tests.guests.decoding.masks import allowed
from tests.guests.tokenizers_of import byte_level

SIZE = 600


class MatcherTests:
    """Subclasses have a fixture `engine`."""

    @pytest.fixture
    def vocabulary(self):
        with Vocabulary.from_tokenizer(byte_level(SIZE)) as vocabulary:
            yield vocabulary

    def test_tokens_spell_the_text(self, vocabulary: Vocabulary, engine: Engine) -> None:
        text = "a \u00e9 and what follows".encode()
        assert b"".join(map(vocabulary.token, engine.tokenize(text))) == text

    def test_no_bit_is_set_beyond_the_vocabulary(self, engine: Engine) -> None:
        assert max(allowed(engine.compile("regex", "(.|\n)*"), SIZE)) < SIZE

    def test_what_may_come_is_what_is_taken(self, engine: Engine) -> None:
        matcher = engine.compile("regex", "[0-9]{3}")
        may = allowed(matcher, SIZE)
        (digit,), (letter,) = engine.tokenize(b"7"), engine.tokenize(b"x")
        assert digit in may
        assert letter not in may
        assert matcher.clone().consume([letter]) == 0
        assert matcher.consume([digit]) == 1

    def test_it_stops_before_the_first_that_does_not_fit(self, engine: Engine) -> None:
        (digit,), (letter,) = engine.tokenize(b"7"), engine.tokenize(b"x")
        matcher = engine.compile("regex", "[0-9]{3}")
        assert matcher.consume([digit, digit, letter, digit]) == 2
        assert matcher.consume([digit]) == 1
        assert matcher.accepts()

    def test_a_rollback_undoes_what_was_taken(self, engine: Engine) -> None:
        matcher = engine.compile("regex", "[0-9]{2}x")
        before = allowed(matcher, SIZE)
        assert matcher.consume(engine.tokenize(b"4") * 2) == 2
        assert allowed(matcher, SIZE) != before
        assert matcher.rollback(2)
        assert allowed(matcher, SIZE) == before

    def test_a_clone_does_not_move_its_origin(self, engine: Engine) -> None:
        matcher = engine.compile("regex", "[0-9]{2}")
        before = allowed(matcher, SIZE)
        assert matcher.clone().consume(engine.tokenize(b"4")) == 1
        assert allowed(matcher, SIZE) == before

    def test_the_end_is_a_token_where_the_text_is_whole(
        self, vocabulary: Vocabulary, engine: Engine
    ) -> None:
        matcher = engine.compile("regex", "a")
        assert not matcher.accepts()
        assert matcher.consume([vocabulary.eos]) == 0
        assert matcher.consume([*engine.tokenize(b"a"), vocabulary.eos]) == 2

    def test_what_is_no_grammar_is_refused(self, engine: Engine) -> None:
        with pytest.raises(InvalidGrammar):
            engine.compile("json_schema", "{")
