"""llguidance as an engine of grammars."""

from __future__ import annotations

import numpy as np
import pytest

from onecopy.errors import InvalidGrammar, UnsupportedValue
from onecopy.guests.decoding.grammar_engine import Engine
from onecopy.guests.decoding.llguidance_engine import LlguidanceEngine
from onecopy.guests.decoding.vocabulary import Vocabulary
from tests.guests.decoding.matchers import SIZE, MatcherTests


class TestLlguidance(MatcherTests):
    @pytest.fixture
    def engine(self, vocabulary: Vocabulary) -> Engine:
        return LlguidanceEngine(vocabulary)

    def test_bytes_that_are_no_text_have_tokens(self, vocabulary, engine) -> None:
        assert b"".join(map(vocabulary.token, engine.tokenize(b"\xff\xfe a"))) == b"\xff\xfe a"

    def test_what_must_come_next_is_told(self, vocabulary, engine) -> None:
        forced = engine.compile("regex", "always the same").forced()
        assert b"always the same".startswith(b"".join(map(vocabulary.token, forced)))
        assert forced

    def test_a_grammar_that_needs_too_much_is_refused(self, engine) -> None:
        with pytest.raises(InvalidGrammar, match="does not compile"):
            engine.compile("lark", f"start: {'a' * 10}")

    def test_a_mask_of_another_length_is_not_written(self, engine) -> None:
        row = np.zeros(SIZE, np.uint32)
        with pytest.raises(ValueError, match="size"):
            engine.compile("regex", "a").mask(row.ctypes.data, 4)
        assert not row.any()

    def test_a_tokenizer_that_it_cannot_use_is_named(self, vocabulary, monkeypatch) -> None:
        monkeypatch.setattr(vocabulary, "tokenizer_text", lambda: "{}")
        with pytest.raises(UnsupportedValue, match="llguidance cannot use"):
            LlguidanceEngine(vocabulary)
