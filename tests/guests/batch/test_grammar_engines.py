"""The engines of grammars that workers have: the usual one, and xgrammar if the pool says so."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import pytest
from wasmtime import wat2wasm

from onecopy import GuestTrapped, InvalidArgument, UnsupportedValue
from onecopy.guests.batch.answers import Allowed, Stop
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.test_controllers import allowed
from tests.guests.tokenizers_of import byte_level

pytest.importorskip("numpy")

GRAMMAR = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)];
static int grammar;
OC_EXPORT int init_prompt(void) {
    static char text[4096];
    grammar = oc_grammar_new(OC_JSON_SCHEMA, text, oc_config(text, sizeof text));
    return grammar < 0;
}
OC_EXPORT int mid_process(void) {
    if (oc_grammar_step(grammar, mask) != OC_OK) return oc_stop();
    return oc_allow(mask);
}
"""
LOAD = """(module (memory (export "memory") 1)
    (func (export "load") (param i32) (result i32) (i32.load (local.get 0))))"""
SCHEMA = '{"enum": ["red", "green"]}'


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """A thousand tokens."""
    return Vocabulary.from_tokenizer(byte_level())


def texts_of(pool: Pool, vocabulary: Vocabulary, guest: bytes, engine: str) -> set[bytes]:
    """All texts that the schema allows, by way of branches."""
    found = set()
    with Controllers(None, vocabulary, pool, batch=8, grammar_engine=engine) as controllers:
        todo = [(controllers.open(guest, SCHEMA), [])]
        while todo:
            sequence, tokens = todo.pop()
            step = controllers.step({sequence: tokens})
            answer = step.outcomes[sequence]
            assert isinstance(answer, Allowed | Stop)
            # Of the many ways to spell a text, one.
            shortest = sorted(allowed(step, sequence), key=lambda t: -len(vocabulary.token(t)))
            choices = list({vocabulary.token(t)[:1]: t for t in shortest}.values())
            if choices == [vocabulary.eos] or isinstance(answer, Stop):
                found.add(b"".join(map(vocabulary.token, sequence.tokens)))
                sequence.close()
                continue
            branches = sequence.fork(len(choices))
            todo += [(each, [token]) for each, token in zip(branches, choices, strict=True)]
    return found


def test_an_engine_that_the_pool_does_not_have_is_refused(vocabulary: Vocabulary) -> None:
    with Pool(workers=1) as pool:
        with pytest.raises(UnsupportedValue, match="grammar_engines="):
            Controllers(None, vocabulary, pool, grammar_engine="xgrammar")
        with pytest.raises(InvalidArgument, match="llguidance"):
            Controllers(None, vocabulary, pool, grammar_engine="outlines")


def test_a_pool_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UnsupportedValue, match="pip install xgrammar"):
        Pool(grammar_engines=("xgrammar",))
    with pytest.raises(InvalidArgument, match="llguidance"):
        Pool(grammar_engines=("outlines",))


def test_workers_have_xgrammar_behind_their_filter(
    vocabulary: Vocabulary, build: Callable[..., bytes]
) -> None:
    pytest.importorskip("xgrammar", exc_type=ImportError)
    with Pool(
        workers=1, guest_ms=5000, step_ms=60_000, grammar_engines=("llguidance", "xgrammar")
    ) as pool:
        guest = build(GRAMMAR)
        ours = texts_of(pool, vocabulary, guest, "xgrammar")
        assert ours == texts_of(pool, vocabulary, guest, "llguidance") == {b'"red"', b'"green"'}
        assert pool.stats()["restarts"] == 0
        assert pool.stats()["workers"][0]["memory"] < 1 << 30


def test_a_fault_is_a_trap_of_its_guest_where_xgrammar_is_loaded() -> None:
    """Its libraries handle SIGSEGV, too."""
    pytest.importorskip("xgrammar", exc_type=ImportError)
    with Pool(workers=1, grammar_engines=("llguidance", "xgrammar")) as pool:
        guest = Guest(bytes(wat2wasm(LOAD)), pool=pool)
        with pytest.raises(GuestTrapped, match="out of bounds"):
            guest.call("load", -4)
        assert Guest(bytes(wat2wasm(LOAD)), pool=pool).call("load", 0) == 0
