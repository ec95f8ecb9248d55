"""xgrammar as an engine of grammars, where it is installed."""

from __future__ import annotations

import sys

import pytest

from onecopy.errors import UnsupportedValue
from onecopy.guests.decoding.grammar_engine import Engine
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.decoding.xgrammar_engine import XgrammarEngine
from tests.guests.decoding.matchers import SIZE, MatcherTests, allowed


class TestXgrammar(MatcherTests):
    @pytest.fixture
    def engine(self, vocabulary: Vocabulary) -> Engine:
        pytest.importorskip("xgrammar", exc_type=ImportError)
        return XgrammarEngine(vocabulary)

    def test_where_everything_may_come_the_mask_is_full(self, engine: Engine) -> None:
        assert len(allowed(engine.compile("regex", r"(.|\n)*"), SIZE)) > SIZE // 2

    def test_after_the_end_only_the_end_may_come(self, vocabulary, engine) -> None:
        matcher = engine.compile("regex", "a")
        assert matcher.consume([*engine.tokenize(b"a"), vocabulary.eos]) == 2
        assert allowed(matcher, SIZE) == {vocabulary.eos}


def test_where_it_is_not_installed_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "xgrammar", None)
    with pytest.raises(UnsupportedValue, match="install it, or use llguidance"):
        XgrammarEngine(None)  # type: ignore[arg-type]  # it does not come to that
