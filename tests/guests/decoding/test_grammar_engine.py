"""Which engines of grammars there are; what each does is in matchers.py."""

from __future__ import annotations

import sys

import pytest

from onecopy import InvalidArgument, UnsupportedValue
from onecopy.guests.decoding.grammar_engine import ENGINES, check_engine, make_engine
from onecopy.guests.decoding.vocabulary import Vocabulary
from tests.guests.tokenizers_of import byte_level


@pytest.fixture(scope="module")
def vocabulary():
    with Vocabulary.from_tokenizer(byte_level(600)) as vocabulary:
        yield vocabulary


def test_an_engine_that_is_not_there_is_named(vocabulary):
    with pytest.raises(InvalidArgument, match="llguidance"):
        make_engine("outlines", vocabulary)


def test_without_xgrammar_the_remedy_is_told(vocabulary, monkeypatch):
    monkeypatch.setitem(sys.modules, "xgrammar", None)
    with pytest.raises(UnsupportedValue, match="install"):
        make_engine("xgrammar", vocabulary)


def test_those_that_there_are_may_be_asked_for():
    for name in ENGINES:
        check_engine(name)
