"""Grammars of guests: `grammar` and `json-schema`, by llguidance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import torch

from onecopy.errors import (
    InferenceFailed,
    InvalidArgument,
    InvalidGrammar,
    UnsupportedOperation,
    UnsupportedValue,
)
from onecopy.guests.batch.adapters.bitmask import apply_bitmask
from onecopy.guests.decoding.grammar import Grammar
from onecopy.guests.decoding.grammars import Grammars

if TYPE_CHECKING:
    from onecopy.guests.decoding.vocabulary import Vocabulary
    from onecopy.nn.backends.text.options import TextOptions

# The converter is plain Python and recursive: what takes it long, or deep, is no grammar that
# somebody wrote.
_LONGEST: Final = 64 << 10
# Between the parts of JSON, as llama.cpp has it: without a bound, models ramble in spaces.
_SPACE: Final = r"( |\n{1,2}[ \t]{0,20})?"

_IMPLIED: Final = {"properties": "object", "items": "array", "prefixItems": "array"}
_SCHEMAS: Final = ("items", "additionalProperties")
_NAMED: Final = ("properties", "$defs", "definitions")
_LISTED: Final = ("prefixItems", "anyOf", "oneOf", "allOf")


class GrammarLogits:
    """A logits processor that forbids what does not continue a text of a grammar.

    The text is what was generated: the prompt is not part of it.
    """

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary) -> None:
        self._grammar = grammar
        self._mask = torch.zeros(1, vocabulary.mask_words, dtype=torch.int32)
        self._seen: int | None = None

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """As a `LogitsProcessor`; each call is for one more token."""
        count = input_ids.shape[1]
        tokens = [] if self._seen is None else input_ids[0, self._seen :].tolist()
        self._seen = count
        if not self._grammar.step(tokens, self._mask.data_ptr(), self._mask.nbytes):
            raise InferenceFailed("the grammar has become too large to follow; use a simpler one")
        return apply_bitmask(scores.clone(), self._mask)


class TextGrammars:
    """Compiles what guests ask for, and keeps it: the next generation has it at once."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self._grammars = Grammars(vocabulary)

    def processor(self, options: TextOptions) -> GrammarLogits:
        """Return what keeps a generation to `options.json_schema` or `options.grammar`.

        Raises:
            InvalidArgument: it does not parse, is too large, or takes too long to compile.
            UnsupportedOperation: grammars cannot be had for this tokenizer.
        """
        try:
            kind, text = _grammar_of(options)
            grammar = self._grammars.compile(kind, text)
        except InvalidGrammar as error:
            raise InvalidArgument(str(error)) from error
        except UnsupportedValue as error:
            raise UnsupportedOperation(str(error)) from error
        return GrammarLogits(grammar, self._vocabulary)


def _grammar_of(options: TextOptions) -> tuple[str, str]:
    if not options.schema:
        return "lark", lark_of(options.grammar)
    if options.grammar:
        raise InvalidArgument("json-schema and grammar are both given; give one of them")
    try:
        schema = _typed(json.loads(options.schema))
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(f"json-schema is not JSON: {error}") from error
    if isinstance(schema, dict):
        schema.setdefault("x-guidance", {"whitespace_pattern": _SPACE})
    return "json_schema", json.dumps(schema)


def _typed(schema: Any) -> Any:
    """Return a schema in which what has items is an array, and what has properties an object.

    JSON Schema lets anything else pass where no type is given; llama.cpp's guests mean the type.
    """
    if not isinstance(schema, dict):
        return schema
    typed = {key: _inside(key, value) for key, value in schema.items()}
    for key, kind in _IMPLIED.items():
        if key in schema:
            typed.setdefault("type", kind)
    return typed


def _inside(key: str, value: Any) -> Any:
    if key in _SCHEMAS:
        return _typed(value)
    if key in _NAMED and isinstance(value, dict):
        return {name: _typed(each) for name, each in value.items()}
    if key in _LISTED and isinstance(value, list):
        return [_typed(each) for each in value]
    return value


def lark_of(grammar: str) -> str:
    """Return a grammar in llguidance's Lark, from that or from llama.cpp's GBNF.

    Raises:
        InvalidArgument: it is neither.
    """
    from llguidance.gbnf_to_lark import any_to_lark

    if len(grammar) > _LONGEST:
        raise InvalidArgument(f"grammar has more than {_LONGEST} characters")
    try:
        return str(any_to_lark(grammar))
    except Exception as error:  # Some errors of grammars are none of the converter's own.
        raise InvalidArgument(f"grammar is neither GBNF nor Lark: {error}") from error
