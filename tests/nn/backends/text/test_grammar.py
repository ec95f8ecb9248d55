from __future__ import annotations

import json
import re

import pytest

from onecopy import InvalidArgument, UnsupportedOperation
from onecopy.nn.backends.text.grammar import lark_of

pytest.importorskip("transformers")

from tests.guests import tokenizers_of
from tests.nn.backends.text.zoo import generate, gpt2, llama, text_model

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"enum": ["köln", "x"]},
        "n": {"type": "integer", "minimum": 0, "maximum": 99},
        "ok": {"type": "boolean"},
    },
    "required": ["name", "n", "ok"],
    "additionalProperties": False,
}
# As a published guest of WasmEdge has it, in the form that llama.cpp documents.
GBNF = r"""
# digits and words
root  ::= item ("," item){0,3}
item  ::= "\"" [a-c]+ "\"" | number
number ::= "-"? ([0-9] | [1-9] [0-9]{1,2})
"""


@pytest.fixture(scope="module")
def session():
    model = text_model(llama())
    yield model.session({"temp": 2.0})
    model.close()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("schema", [SCHEMA, json.dumps(SCHEMA)])
def test_what_a_schema_asks_for_parses(session, seed: int, schema) -> None:
    found = json.loads(generate(session, "the", json_schema=schema, seed=seed))
    assert set(found) == {"name", "n", "ok"}
    assert found["name"] in ("köln", "x")
    assert 0 <= found["n"] <= 99


@pytest.mark.parametrize("seed", range(5))
def test_a_grammar_of_llama_cpp_is_kept_to(session, seed: int) -> None:
    found = generate(session, "the", grammar='root ::= "a" [0-9]{2,4} ("x" | "yz")', seed=seed)
    assert re.fullmatch(rb"a[0-9]{2,4}(x|yz)", found)


def test_lark_is_taken_as_well(session) -> None:
    found = generate(session, "the", grammar="start: /[ab]{3}/")
    assert re.fullmatch(rb"[ab]{3}", found)


ITEM = {"properties": {"n": {"enum": [1]}}, "required": ["n"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (ITEM, {"n": 1}),
        ({"items": ITEM, "minItems": 2, "maxItems": 2}, [{"n": 1}, {"n": 1}]),
        ({"anyOf": [{"$ref": "#/$defs/x"}], "$defs": {"x": ITEM}}, {"n": 1}),
    ],
)
def test_a_schema_without_a_type_means_that_of_its_parts(session, schema: dict, expected) -> None:
    assert json.loads(generate(session, "the", json_schema=schema)) == expected


def test_the_same_grammar_serves_the_next_prompt(session) -> None:
    for _ in range(3):
        assert generate(session, "the", grammar='root ::= "yes"') == b"yes"


def test_grammars_with_rules_and_comments_become_lark() -> None:
    assert "start:" in lark_of(GBNF)


def test_a_grammar_and_a_seed_give_the_same_text(session) -> None:
    texts = {generate(session, "the", json_schema=SCHEMA, seed=4) for _ in range(3)}
    assert len(texts) == 1


def test_greedy_text_under_a_grammar_is_the_likeliest_that_fits() -> None:
    session = text_model().session({})
    assert re.fullmatch(rb"[0-9]{5}", generate(session, "the", grammar="root ::= [0-9]{5}"))


@pytest.mark.parametrize(
    "options",
    [
        {"grammar": "root ::= ("},
        {"grammar": "start: nothing"},
        {"grammar": "root ::= " + "(" * 50_000},
        {"grammar": "a" * 70_000},
        {"grammar": "\x00\x01"},
        {"json-schema": "{"},
        {"json-schema": "[" * 100_000},
        {"json-schema": {"type": "nonsense"}},
        {"json-schema": {"type": "object"}, "grammar": 'root ::= "a"'},
    ],
)
def test_what_is_no_grammar_is_refused(session, options: dict) -> None:
    with pytest.raises(InvalidArgument):
        session.begin(b"the", options)
    assert generate(session, "the", grammar='root ::= "yes"') == b"yes"


def test_a_tokenizer_without_exact_bytes_has_no_grammars() -> None:
    from transformers import PreTrainedTokenizerFast

    from onecopy.nn.backends.text.model import TransformersModel

    pieces = tokenizers_of.word_piece()
    from tokenizers import Tokenizer

    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(pieces))
    session = TransformersModel(gpt2(), tokenizer, {}).session({})
    session.begin(b"a", {})
    with pytest.raises(UnsupportedOperation, match="WordPiece"):
        session.begin(b"a", {"grammar": 'root ::= "a"'})
