"""The masks and biases of a batch in shared memory."""

from __future__ import annotations

import os

import pytest

from onecopy.errors import InvalidArgument
from onecopy.guests.batch.rows import Rows, words

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")


@pytest.fixture(params=[50_257, 32, 33, 128_256])
def rows(request: pytest.FixtureRequest):
    """Rows with biases, whose vocabulary fills its words or not."""
    made = Rows.make(3, request.param, biases=True)
    yield made
    made.close()


def bits(rows: Rows, row: int) -> np.ndarray:
    """All bits of a row, those beyond the vocabulary included."""
    return np.unpackbits(rows.mask_array[row].view("u1"), bitorder="little")


def test_new_rows_allow_every_token_of_the_vocabulary_and_no_bit_beyond(rows: Rows) -> None:
    for row in range(rows.batch):
        assert bits(rows, row)[: rows.vocab].all()
        assert not bits(rows, row)[rows.vocab :].any()
    assert not rows.bias_array.any()


def test_tensors_are_views_of_the_segment(rows: Rows) -> None:
    mask, biases = rows.mask(), rows.biases()
    assert mask.shape == (3, words(rows.vocab))
    assert mask.dtype == torch.int32
    assert biases.shape == (3, rows.vocab)
    assert mask[2].data_ptr() == rows.mask_at(2)
    assert biases[2].data_ptr() == rows.biases_at(2)
    other = Rows(os.dup(rows.fd), rows.batch, rows.vocab, biases=True)
    other.mask_array[1] = 7
    other.bias_array[2, 5] = 0.5
    assert (mask[1] == 7).all()
    assert biases[2, 5] == 0.5
    other.close()


def test_every_row_owns_its_pages(rows: Rows) -> None:
    addresses = [rows.mask_at(row) for row in range(3)] + [rows.biases_at(row) for row in range(3)]
    assert not any(address % 4096 for address in addresses)
    assert len(set(addresses)) == 6


def test_a_row_that_allows_one_token_allows_no_other(rows: Rows) -> None:
    rows.allow_only(1, rows.vocab - 1)
    assert list(np.flatnonzero(bits(rows, 1))) == [rows.vocab - 1]
    assert list(np.flatnonzero(np.isfinite(rows.bias_array[1]))) == [rows.vocab - 1]
    assert bits(rows, 0)[: rows.vocab].all()
    rows.allow_all(1)
    assert bits(rows, 1).sum() == rows.vocab
    assert not rows.bias_array[1].any()


def test_what_a_late_worker_writes_to_a_hidden_row_is_not_seen(rows: Rows) -> None:
    worker = Rows(os.dup(rows.fd), rows.batch, rows.vocab, biases=True)
    mask, biases = rows.mask(), rows.biases()
    rows.hide(1)
    rows.allow_only(1, 3)
    worker.mask_array[1] = 0
    worker.bias_array[1] = float("nan")
    worker.mask_array[0] = 1
    assert list(np.flatnonzero(bits(rows, 1))) == [3]
    assert not biases.isnan().any()
    assert (mask[0] == 1).all()
    rows.show(1)
    assert not mask[1].any()
    assert biases[1].isnan().all()
    worker.close()


def test_showing_a_row_that_is_not_hidden_changes_nothing(rows: Rows) -> None:
    rows.allow_only(2, 9)
    rows.show(2)
    assert list(np.flatnonzero(bits(rows, 2))) == [9]


def test_tensors_outlive_the_rows_they_came_from() -> None:
    rows = Rows.make(2, 100)
    mask = rows.mask()
    assert rows.biases() is None
    rows.close()
    rows.close()
    del rows
    assert mask.shape == (2, 4)
    assert mask[0, 0] == -1


@pytest.mark.parametrize(("batch", "vocab"), [(0, 10), (961, 10), (1, 0), (1, 1 << 25)])
def test_sizes_that_there_are_not_are_refused(batch: int, vocab: int) -> None:
    with pytest.raises(InvalidArgument):
        Rows.make(batch, vocab)


def test_the_segment_cannot_be_cut_short_under_a_reader() -> None:
    rows = Rows.make(1, 64)
    with pytest.raises(PermissionError):
        os.ftruncate(rows.fd, 0)
    rows.close()
