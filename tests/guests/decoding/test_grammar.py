"""Grammars: what is allowed is what the engine says, wherever one goes and comes back from."""

from __future__ import annotations

import functools
import json
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from onecopy import InvalidArgument, InvalidGrammar, UnsupportedValue
from onecopy.guests.decoding.grammar import KINDS, START, Grammar, Grammars
from onecopy.guests.decoding.vocabulary import Vocabulary
from tests.guests.tokenizers_of import byte_level, pieces

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
        assert all(vocabulary.token(each).isdigit() for each in allowed(grammar))
        grammar.consume(grammars.tokenize(b"7"))
        assert allowed(grammar) == {vocabulary.eos}

    def test_the_end_may_come_where_the_text_is_whole(self, vocabulary, grammars):
        grammar = grammars.compile("regex", "[0-9]+")
        assert (grammar.accepts(), grammar.consume([vocabulary.eos])) == (False, 0)
        grammar.consume(grammars.tokenize(b"7"))
        assert (grammar.accepts(), vocabulary.eos in allowed(grammar)) == (True, True)
        assert grammar.consume([vocabulary.eos]) == 1
        assert allowed(grammar) == {vocabulary.eos}
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
            assert allowed(grammar) == allowed(fresh)
            assert grammar.accepts() == fresh.accepts()


class TestLlguidance(Engines):
    name = "llguidance"

    def test_forced_tokens_are_told(self, vocabulary, grammars):
        grammar = grammars.compile("regex", '"name": [0-9]')
        text = b"".join(map(vocabulary.token, grammar.forced()))
        assert text
        assert b'"name": '.startswith(text)

    def test_a_compiled_grammar_is_kept(self, grammars):
        one, two = (grammars.compile("regex", "a{3}") for _ in range(2))
        assert one.is_like(two)
        assert not one.is_like(grammars.compile("regex", "a{4}"))

    def test_a_grammar_that_takes_too_long_is_given_up_and_holds_up_only_so_many(self, vocabulary):
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
    def test_long_ways_from_rule_to_rule_do_not_exhaust_the_stack(self, grammars, kind):
        count = 20_000
        if kind == "lark":
            text = "start: a0\n" + "".join(f"a{i}: a{i + 1}\n" for i in range(count))
            text += f'a{count}: "x"\n'
        else:
            ways = {f"{i}": {"$ref": f"#/$defs/{i + 1}"} for i in range(count)}
            last = {f"{count}": {"const": "x"}}
            text = json.dumps({"$defs": ways | last, "$ref": "#/$defs/0"})
        grammar = grammars.compile(kind, text, 60)
        assert len(allowed(grammar)) == 1

    def test_text_in_the_middle_has_no_space_put_before_it(self):
        for kind in ("bpe", "unigram"):
            with Vocabulary.from_tokenizer(pieces(kind)) as vocabulary:
                tokens = Grammars(vocabulary).tokenize("ab b\n\u00e9".encode())
                assert b"".join(map(vocabulary.token, tokens)) == "ab b\n\u00e9".encode()

    @given(text=st.text(max_size=30))
    @settings(deadline=None, suppress_health_check=SHARED)
    def test_tokens_are_those_of_the_tokenizer(self, grammars, text):
        from tokenizers import Tokenizer

        assert (
            grammars.tokenize(text.encode())
            == Tokenizer.from_str(byte_level(SIZE)).encode(text).ids
        )


class TestXgrammar(Engines):
    name = "xgrammar"

    @pytest.fixture
    def grammars(self, vocabulary):
        pytest.importorskip("xgrammar", exc_type=ImportError)
        return compiler(self.name, vocabulary)


def test_an_engine_that_is_not_there_is_named(vocabulary):
    with pytest.raises(InvalidArgument, match="llguidance"):
        Grammars(vocabulary, engine="outlines").engine()


def test_without_xgrammar_the_remedy_is_told(vocabulary, monkeypatch):
    monkeypatch.setitem(sys.modules, "xgrammar", None)
    with pytest.raises(UnsupportedValue, match="install"):
        Grammars(vocabulary, engine="xgrammar").engine()


def test_a_kind_that_does_not_exist_is_refused(vocabulary):
    with pytest.raises(InvalidGrammar, match="regex"):
        Grammars(vocabulary).compile("gbnf", "root ::= x")


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
            assert allowed(grammar) == set(bits)
            token = int(dice.choice(bits))
            if token == vocabulary.eos:
                break
            assert native.consume_token(token)
            assert grammar.consume([token]) == 1


def allowed(grammar: Grammar) -> set[int]:
    row = np.zeros((SIZE + 31) // 32, np.uint32)
    assert grammar.mask(row.ctypes.data, row.nbytes)
    return set(np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist())


def told(grammar: Grammar) -> list[int]:
    node, tokens = grammar.node, []
    while node[2]:
        tokens.append(node[1])
        node = node[0]
    return tokens[::-1]
