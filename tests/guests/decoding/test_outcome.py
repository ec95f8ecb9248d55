"""Masks on their way to a row."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy import GuestMisbehaved, InvalidArgument
from onecopy.guests.decoding.outcome import Mask
from onecopy.guests.instance.guest import Instance


@pytest.fixture(scope="module")
def guest(wat, compiled):
    with Instance(compiled(wat('(module (memory (export "memory") 4))'))) as guest:
        yield guest


@given(size=st.integers(1, 3000), extra=st.integers(0, 3), seed=st.integers(0, 2**32 - 1))
def test_a_row_has_the_bits_of_the_vocabulary_and_nothing_else_is_touched(guest, size, extra, seed):
    dice = np.random.default_rng(seed)
    words = (size + 31) // 32
    bits = dice.integers(0, 2, 32 * words, np.uint8)
    guest.memory.write(64, np.packbits(bits, bitorder="little").tobytes())
    around = np.full(words + extra + 2, 0xABABABAB, np.uint32)
    row = around[1:-1]
    mask = Mask(guest, guest.memory.base + 64, size)
    if not bits[:size].any():
        with pytest.raises(GuestMisbehaved, match="no token"):
            mask.write(row.ctypes.data, words + extra)
        return
    mask.write(row.ctypes.data, words + extra)
    seen = np.unpackbits(row.view(np.uint8), bitorder="little")
    assert (seen[:size] == bits[:size]).all()
    assert not seen[size:].any()
    assert (around[0], around[-1]) == (0xABABABAB, 0xABABABAB)
    assert [mask.allows(token) for token in range(size)] == bits[:size].astype(bool).tolist()


@given(size=st.integers(1, 200))
def test_without_words_all_of_the_vocabulary_may_come(guest, size):
    row = np.zeros(8, np.uint32)
    Mask(guest, 0, size).write(row.ctypes.data, 8)
    assert np.unpackbits(row.view(np.uint8), bitorder="little").tolist() == [1] * size + [0] * (
        256 - size
    )
    assert Mask(guest, 0, size).allows(size - 1)


def test_too_few_words_are_refused_before_anything_is_written(guest):
    row = np.full(4, 7, np.uint32)
    with pytest.raises(InvalidArgument, match="3 words"):
        Mask(guest, 0, 65).write(row.ctypes.data, 2)
    assert row.tolist() == [7] * 4


def test_a_mask_without_biases_has_none(guest):
    tokens, values = Mask(guest, 0, 65).biases()
    assert (tokens.dtype, values.dtype, len(tokens), len(values)) == (np.uint32, np.float32, 0, 0)
