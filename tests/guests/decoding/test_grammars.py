"""Compiling grammars: what is kept, what takes too long, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecopy import InvalidGrammar
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.vocabulary import Vocabulary
from tests.guests.decoding.masks import allowed
from tests.guests.tokenizers_of import byte_level, pieces

SIZE = 1000
# Grammars are compiled once and stay as they are.
SHARED = [HealthCheck.function_scoped_fixture]


@pytest.fixture(scope="module")
def vocabulary():
    with Vocabulary.from_tokenizer(byte_level(SIZE)) as vocabulary:
        yield vocabulary


@pytest.fixture(scope="module")
def grammars(vocabulary):
    return Grammars(vocabulary)


def test_a_compiled_grammar_is_kept(grammars):
    one, two = (grammars.compile("regex", "a{3}") for _ in range(2))
    assert one.is_like(two)
    assert not one.is_like(grammars.compile("regex", "a{4}"))


def test_a_grammar_that_takes_too_long_is_given_up_and_holds_up_only_so_many(vocabulary):
    grammars = Grammars(vocabulary)
    grammars.engine()
    for i in range(2):
        heavy = json.dumps({"enum": [f"{i}{'x' * 200}{number}" for number in range(4000)]})
        with pytest.raises(InvalidGrammar, match="within"):
            grammars.compile("json_schema", heavy, seconds=0.0001)
    with pytest.raises(InvalidGrammar, match="later"):
        grammars.compile("regex", "a")
    for thread in grammars._late:
        thread.join()
    assert grammars.compile("regex", "a").consume(grammars.tokenize(b"a")) == 1


@pytest.mark.parametrize("kind", ["lark", "json_schema"])
def test_long_ways_from_rule_to_rule_do_not_exhaust_the_stack(grammars, kind):
    count = 20_000
    if kind == "lark":
        text = "start: a0\n" + "".join(f"a{i}: a{i + 1}\n" for i in range(count))
        text += f'a{count}: "x"\n'
    else:
        ways = {f"{i}": {"$ref": f"#/$defs/{i + 1}"} for i in range(count)}
        last = {f"{count}": {"const": "x"}}
        text = json.dumps({"$defs": ways | last, "$ref": "#/$defs/0"})
    grammar = grammars.compile(kind, text, 60)
    assert len(allowed(grammar, SIZE)) == 1


def test_text_in_the_middle_has_no_space_put_before_it():
    for kind in ("bpe", "unigram"):
        with Vocabulary.from_tokenizer(pieces(kind)) as vocabulary:
            tokens = Grammars(vocabulary).tokenize("ab b\n\u00e9".encode())
            assert b"".join(map(vocabulary.token, tokens)) == "ab b\n\u00e9".encode()


@given(text=st.text(max_size=30))
@settings(deadline=None, suppress_health_check=SHARED)
def test_tokens_are_those_of_the_tokenizer(grammars, text):
    from tokenizers import Tokenizer

    assert grammars.tokenize(text.encode()) == Tokenizer.from_str(byte_level(SIZE)).encode(text).ids


def test_a_kind_that_does_not_exist_is_refused(vocabulary):
    with pytest.raises(InvalidGrammar, match="regex"):
        Grammars(vocabulary).compile("gbnf", "root ::= x")
