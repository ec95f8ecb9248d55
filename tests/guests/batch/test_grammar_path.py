"""Masks of a grammar on their whole way: engine, guest in C, worker's C loop, row of the batch.

`decoding/test_grammar.py` compares the engine alone; here steps ask it ahead, and hosts take tokens
back and append several at once.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.guests.batch.answers import Allowed, Step
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.sequence import Sequence
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.test_controllers import allowed
from tests.guests.batch.test_opener import GRAMMAR
from tests.guests.decoding.test_grammar import SCHEMAS
from tests.guests.tokenizers_of import byte_level

np = pytest.importorskip("numpy")
llguidance = pytest.importorskip("llguidance")

STEPS = 25
BATCH = 4


@pytest.fixture(scope="module")
def module(build: Callable[..., bytes]) -> bytes:
    return build(GRAMMAR)


@pytest.fixture(scope="module")
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    with Controllers(None, vocabulary, pool, batch=BATCH, biases=True) as controllers:
        yield controllers


@pytest.fixture(scope="module")
def tokenizer(vocabulary: Vocabulary) -> Any:
    return llguidance.LLTokenizer(byte_level(), eos_token=vocabulary.eos)


class Decoding:
    """One sequence, and the engine of its own that says what it is to allow."""

    def __init__(self, sequence: Sequence, native: Any, eos: int) -> None:
        self.sequence = sequence
        self.native = native
        self.eos = eos
        self.generated = 0
        self.over = False

    def bits(self) -> list[int]:
        row = np.frombuffer(self.native.compute_bitmask(), np.uint8)
        found: list[int] = np.flatnonzero(np.unpackbits(row, bitorder="little")).tolist()
        return found

    def go_on(self, dice: random.Random) -> list[int]:
        """Take tokens back, or append some; return what the guest is to be told."""
        back = dice.choice([0, 0, 0, 1, 2])
        if 0 < back <= self.generated:
            assert self.native.rollback(back)
            self.sequence.rollback(back)
            self.generated -= back
        told: list[int] = []
        for _ in range(dice.choice([0, 1, 1, 1, 3])):
            token = dice.choice(self.bits())
            if token == self.eos:
                self.over = not told
                break
            assert self.native.consume_token(token)
            told.append(token)
        self.generated += len(told)
        return told


@given(schemas=st.lists(SCHEMAS, min_size=1, max_size=BATCH), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_every_mask_of_a_batch_equals_that_of_the_native_engine(
    controllers: Controllers,
    vocabulary: Vocabulary,
    tokenizer: Any,
    module: bytes,
    schemas: list[Any],
    seed: int,
) -> None:
    dice = random.Random(seed)
    with contextlib.ExitStack() as opened:
        batch = []
        for schema in map(json.dumps, schemas):
            grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
            native = llguidance.LLMatcher(tokenizer, grammar)
            if not native.is_error():
                sequence = opened.enter_context(controllers.open(module, schema))
                batch.append(Decoding(sequence, native, vocabulary.eos))
        told: dict[Sequence, list[int]] = {each.sequence: [] for each in batch}
        for _ in range(STEPS):
            step = controllers.step(told)
            going = [each for each in batch if not each.over]
            for each in going:
                compare(step, each)
            told = {each.sequence: each.go_on(dice) for each in going}
            told = {each.sequence: told[each.sequence] for each in going if not each.over}


def compare(step: Step, decoding: Decoding) -> None:
    sequence, expected = decoding.sequence, decoding.bits()
    assert isinstance(step.outcomes[sequence], Allowed)
    assert allowed(step, sequence) == expected
    assert step.biases is not None
    finite = np.isfinite(step.biases[sequence.row].numpy())
    assert np.flatnonzero(finite).tolist() == expected
