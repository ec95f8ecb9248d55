"""Grammars: what is allowed is what the engine says, wherever one goes and comes back from."""

from __future__ import annotations

import functools
import json

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from onecopy import InvalidGrammar
from onecopy.guests.decoding.grammar import START, Grammar
from onecopy.guests.decoding.grammar_engine import KINDS
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.vocabulary import Vocabulary
from tests.guests.decoding.masks import allowed
from tests.guests.tokenizers_of import byte_level

SIZE = 1000
# Grammars are compiled once and stay as they are; subclasses run with engines of their own.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]


@pytest.fixture(scope="module")
def vocabulary():
    with Vocabulary.from_tokenizer(byte_level(SIZE)) as vocabulary:
        yield vocabulary


@functools.cache
def compiler(name: str, vocabulary: Vocabulary) -> Grammars:
    return Grammars(vocabulary, engine=name)


class Engines:
    """Tests of what every engine does; subclasses name one."""

    name: str

    @pytest.fixture
    def grammars(self, vocabulary):
        return compiler(self.name, vocabulary)

    def test_only_what_fits_is_consumed(self, grammars):
        grammar = grammars.compile("regex", "ab+c")
        assert grammar.consume(grammars.tokenize(b"a") + grammars.tokenize(b"xyz")) == 1
        assert grammar.node[2] == 1
        assert grammar.consume(grammars.tokenize(b"b")) == 1

    def test_the_mask_has_what_may_come(self, vocabulary, grammars):
        grammar = grammars.compile("regex", "[0-9]")
        assert all(vocabulary.token(each).isdigit() for each in allowed(grammar, SIZE))
        grammar.consume(grammars.tokenize(b"7"))
        assert allowed(grammar, SIZE) == {vocabulary.eos}

    def test_the_end_may_come_where_the_text_is_whole(self, vocabulary, grammars):
        grammar = grammars.compile("regex", "[0-9]+")
        assert (grammar.accepts(), grammar.consume([vocabulary.eos])) == (False, 0)
        grammar.consume(grammars.tokenize(b"7"))
        assert (grammar.accepts(), vocabulary.eos in allowed(grammar, SIZE)) == (True, True)
        assert grammar.consume([vocabulary.eos]) == 1
        assert allowed(grammar, SIZE) == {vocabulary.eos}
        assert grammar.rollback(1)
        assert grammar.consume(grammars.tokenize(b"7")) == 1

    def test_the_end_of_a_text_that_cannot_go_on_is_taken_too(self, vocabulary, grammars):
        grammar = grammars.compile("regex", "7")
        tokens = [*grammars.tokenize(b"7"), vocabulary.eos]
        assert grammar.consume(tokens) == 2
        assert grammar.rollback(2)
        assert grammar.consume(tokens) == 2

    def test_a_rollback_beyond_the_start_is_refused(self, grammars):
        grammar = grammars.compile("regex", "a*")
        grammar.consume(grammars.tokenize(b"a"))
        assert not grammar.rollback(2)
        assert grammar.rollback(1)
        assert grammar.node is START

    def test_a_clone_goes_its_own_way(self, grammars):
        grammar = grammars.compile("regex", "a(bc|cb)")
        grammar.consume(grammars.tokenize(b"a"))
        clone = grammar.clone()
        clone.consume(grammars.tokenize(b"b"))
        assert grammar.consume(grammars.tokenize(b"c")) == 1
        assert clone.consume(grammars.tokenize(b"c")) == 1
        assert clone.accepts()
        assert not grammar.accepts()

    @pytest.mark.parametrize(
        ("kind", "text"),
        [
            ("json_schema", "{"),
            ("json_schema", '{"type": "x"}'),
            ("regex", "(a"),
            ("lark", "start"),
        ],
    )
    def test_errors_are_told(self, grammars, kind, text):
        with pytest.raises(InvalidGrammar):
            grammars.compile(kind, text)

    def test_each_kind_compiles(self, grammars):
        for kind, text in zip(
            KINDS, ('{"type": "integer"}', "[0-9]+", "start: /[0-9]+/"), strict=True
        ):
            assert grammars.compile(kind, text).consume(grammars.tokenize(b"12")) >= 1

    @given(data=st.data())
    @settings(max_examples=60, deadline=None, suppress_health_check=SHARED)
    def test_any_way_to_a_state_leads_to_the_same_mask(self, grammars, data):
        grammar = grammars.compile("regex", "([ab]{1,3},)*[cd]?")
        kept = [grammar.node]
        for _ in range(data.draw(st.integers(1, 15))):
            choice = data.draw(st.sampled_from(["consume", "rollback", "go", "clone"]))
            if choice == "consume":
                tokens = grammars.tokenize(
                    data.draw(st.sampled_from([b"a", b"ab,", b"b", b",", b"c"]))
                )
                grammar.consume(tokens)
                kept.append(grammar.node)
            elif choice == "rollback":
                grammar.rollback(data.draw(st.integers(0, grammar.node[2])))
            elif choice == "go":
                grammar.go(data.draw(st.sampled_from(kept)))
            else:
                grammar = grammar.clone()
            fresh = grammars.compile("regex", "([ab]{1,3},)*[cd]?")
            assert fresh.consume(told(grammar)) == grammar.node[2]
            assert allowed(grammar, SIZE) == allowed(fresh, SIZE)
            assert grammar.accepts() == fresh.accepts()


class TestLlguidance(Engines):
    name = "llguidance"

    def test_forced_tokens_are_told(self, vocabulary, grammars):
        grammar = grammars.compile("regex", '"name": [0-9]')
        text = b"".join(map(vocabulary.token, grammar.forced()))
        assert text
        assert b'"name": '.startswith(text)


class TestXgrammar(Engines):
    name = "xgrammar"

    @pytest.fixture
    def grammars(self, vocabulary):
        pytest.importorskip("xgrammar", exc_type=ImportError)
        return compiler(self.name, vocabulary)


LEAVES = st.sampled_from(
    [
        {"type": "integer"},
        {"type": "integer", "minimum": 3, "maximum": 40},
        {"type": "string"},
        {"type": "string", "maxLength": 4},
        {"type": "string", "pattern": "^[a-f]{2,5}$"},
        {"type": "boolean"},
        {"type": "null"},
        {"enum": ["red", "green", 1, None]},
        {"const": "fixed"},
    ]
)


def objects(inner):
    names = st.sampled_from(["name", "age", "tags", "o"])
    return st.dictionaries(names, inner, min_size=1, max_size=3).map(
        lambda each: {
            "type": "object",
            "properties": each,
            "required": sorted(each),
            "additionalProperties": False,
        }
    )


def arrays(inner):
    return inner.map(lambda each: {"type": "array", "items": each, "minItems": 1, "maxItems": 3})


SCHEMAS = st.recursive(LEAVES, lambda inner: objects(inner) | arrays(inner), max_leaves=6)


@given(schema=SCHEMAS, seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_every_mask_equals_that_of_the_native_engine_on_random_schemas(schema, seed):
    import llguidance

    with Vocabulary.from_tokenizer(byte_level(SIZE)) as vocabulary:
        grammar = Grammars(vocabulary).compile("json_schema", json.dumps(schema))
        tokenizer = llguidance.LLTokenizer(byte_level(SIZE), eos_token=vocabulary.eos)
        text = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(schema))
        native = llguidance.LLMatcher(tokenizer, text)
        assume(not native.is_error())
        dice = np.random.default_rng(seed)
        for _ in range(60):
            expected = np.frombuffer(native.compute_bitmask(), np.uint8)
            bits = np.flatnonzero(np.unpackbits(expected, bitorder="little")).tolist()
            assert allowed(grammar, SIZE) == set(bits)
            token = int(dice.choice(bits))
            if token == vocabulary.eos:
                break
            assert native.consume_token(token)
            assert grammar.consume([token]) == 1


def told(grammar: Grammar) -> list[int]:
    node, tokens = grammar.node, []
    while node[2]:
        tokens.append(node[1])
        node = node[0]
    return tokens[::-1]
