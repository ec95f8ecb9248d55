"""What a batch is made of."""

from __future__ import annotations

import os

import pytest

from onecopy import InvalidArgument, WindowRefused
from onecopy.guests.batch.batch import Batch
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.tokenizers_of import byte_level

torch = pytest.importorskip("torch")


def make(vocabulary: Vocabulary, pool: Pool, size: int = 3, **changed) -> Batch:
    options = {"biases": False, "logits": None, "keep": 4, "branches": 5}
    return Batch.make(vocabulary, pool, size, grammar_engine="llguidance", **{**options, **changed})


def test_all_its_parts_are_of_one_size(vocabulary: Vocabulary, pool: Pool) -> None:
    batch = make(vocabulary, pool)
    assert (batch.rows.batch, batch.board.batch, len(batch.masks.array)) == (3, 3, 3)
    assert batch.board.workers == 2
    assert (batch.keep, batch.branches, batch.logits) == (4, 5, ())
    assert batch.guest_seconds == pool.guest_seconds
    batch.close()


def test_each_has_a_name_of_its_own(vocabulary: Vocabulary, pool: Pool) -> None:
    one, two = make(vocabulary, pool), make(vocabulary, pool)
    assert one.key != two.key
    one.close()
    two.close()


def test_what_cannot_be_one_leaves_nothing_open(vocabulary: Vocabulary, pool: Pool) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(InvalidArgument):
        make(vocabulary, pool, 0)
    with pytest.raises((InvalidArgument, WindowRefused)):
        make(vocabulary, pool, logits=torch.zeros(3, vocabulary.size))
    assert len(os.listdir("/proc/self/fd")) == before


def test_closing_it_closes_its_segments_and_is_fine_twice(
    vocabulary: Vocabulary, pool: Pool
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    batch = make(vocabulary, pool, biases=True)
    assert len(os.listdir("/proc/self/fd")) == before + 3
    batch.close()
    batch.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_vocabulary_that_was_closed_is_refused(pool: Pool) -> None:
    vocabulary = Vocabulary.from_tokenizer(byte_level())
    vocabulary.close()
    with pytest.raises(InvalidArgument, match="Vocabulary was closed"):
        make(vocabulary, pool)
