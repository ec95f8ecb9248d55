"""The masks and biases of a batch in shared memory."""

from __future__ import annotations

import os

import pytest

from onecopy.errors import InvalidArgument
from onecopy.guests.batch.rows import Rows, words

pytest.importorskip("numpy")
pytest.importorskip("torch")


@pytest.fixture(params=[50_257, 32, 33, 128_256])
def rows(request: pytest.FixtureRequest):
    """Rows with biases, whose vocabulary fills its words or not."""
    made = Rows.make(3, request.param, biases=True)
    yield made
    made.close()


def test_what_one_process_writes_another_one_sees(rows: Rows) -> None:
    biases = rows.biases()
    assert biases.shape == (3, rows.vocab)
    assert biases[2].data_ptr() == rows.biases_at(2)
    other = Rows(os.dup(rows.fd), rows.batch, rows.vocab, biases=True)
    other.mask_array[1] = 7
    other.bias_array[2, 5] = 0.5
    assert rows.mask_array.shape == (3, words(rows.vocab))
    assert (rows.mask_array[1] == 7).all()
    assert biases[2, 5] == 0.5
    other.close()


def test_every_row_owns_its_pages(rows: Rows) -> None:
    addresses = [rows.mask_at(row) for row in range(3)] + [rows.biases_at(row) for row in range(3)]
    assert not any(address % 4096 for address in addresses)
    assert len(set(addresses)) == 6


def test_what_a_late_worker_writes_to_a_hidden_row_is_not_seen(rows: Rows) -> None:
    worker = Rows(os.dup(rows.fd), rows.batch, rows.vocab, biases=True)
    biases = rows.biases()
    rows.hide(1)
    worker.bias_array[1] = float("nan")
    worker.bias_array[0] = 1
    assert not biases.isnan().any()
    assert (biases[0] == 1).all()
    rows.show(1)
    assert biases[1].isnan().all()
    worker.close()


def test_showing_a_row_that_is_not_hidden_changes_nothing(rows: Rows) -> None:
    rows.bias_array[2] = 9
    rows.show(2)
    assert (rows.bias_array[2] == 9).all()


def test_rows_without_biases_have_nothing_to_hide() -> None:
    rows = Rows.make(2, 100)
    assert rows.biases() is None
    rows.hide(1)
    assert not rows.hidden
    rows.close()


def test_tensors_outlive_the_rows_they_came_from() -> None:
    rows = Rows.make(2, 100, biases=True)
    biases = rows.biases()
    rows.close()
    rows.close()
    del rows
    assert biases.shape == (2, 100)
    assert biases[0, 0] == 0


@pytest.mark.parametrize(("batch", "vocab"), [(0, 10), (961, 10), (1, 0), (1, 1 << 25)])
def test_sizes_that_there_are_not_are_refused(batch: int, vocab: int) -> None:
    with pytest.raises(InvalidArgument):
        Rows.make(batch, vocab)


def test_the_segment_cannot_be_cut_short_under_a_reader() -> None:
    rows = Rows.make(1, 64)
    with pytest.raises(PermissionError):
        os.ftruncate(rows.fd, 0)
    rows.close()
