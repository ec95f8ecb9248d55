"""The masks that hosts see: copied, then checked."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from onecopy.guests.batch import masks as module
from onecopy.guests.batch.masks import Masks
from onecopy.guests.batch.rows import Rows

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")


@pytest.fixture(params=[50_257, 32, 33, 1, 300, 128_256])
def rows(request: pytest.FixtureRequest) -> Iterator[Rows]:
    """Rows with biases, whose vocabulary fills its words or not."""
    made = Rows.make(5, request.param, biases=True)
    yield made
    made.close()


@pytest.fixture(params=[True, False], ids=["C", "Python"])
def masks(rows: Rows, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Masks:
    """Their masks, taken by the C library or without it."""
    if not request.param:
        monkeypatch.setattr(module, "find", lambda: None)
    elif module.find() is None:
        pytest.skip("the C library is not there")
    return Masks(rows)


def tokens(masks: Masks, row: int) -> list[int]:
    """All bits of a row, those beyond the vocabulary included."""
    bits = np.unpackbits(masks.array[row].view("u1"), bitorder="little")
    return np.flatnonzero(bits).tolist()


def test_new_masks_allow_every_token_of_the_vocabulary_and_no_bit_beyond(
    masks: Masks, rows: Rows
) -> None:
    for row in range(rows.batch):
        assert tokens(masks, row) == list(range(rows.vocab))


def test_what_workers_wrote_is_seen_when_it_is_taken_and_not_before(
    masks: Masks, rows: Rows
) -> None:
    rows.mask_array[1], rows.mask_array[3] = 1, 1
    assert len(tokens(masks, 1)) == rows.vocab
    assert masks.take([3, 1]) == set()
    assert (masks.array[[1, 3]] == 1).all() or rows.vocab % 32
    rows.mask_array[1] = 0
    assert 0 in tokens(masks, 1)
    assert len(tokens(masks, 2)) == rows.vocab


def test_a_row_without_a_token_of_the_vocabulary_is_found(masks: Masks, rows: Rows) -> None:
    rows.mask_array[:] = 0xFFFFFFFF
    rows.mask_array[2] = 0
    rows.mask_array[4] = 0
    if rows.vocab % 32:
        rows.mask_array[4, -1] = 0xFFFFFFFF << rows.vocab % 32 & 0xFFFFFFFF
    assert masks.take(range(5)) == {2, 4}
    assert tokens(masks, 0) == list(range(rows.vocab))
    assert masks.take([]) == set()


def test_one_token_is_enough_wherever_it_is(masks: Masks, rows: Rows) -> None:
    dice = random.Random(rows.vocab)
    for token in (0, rows.vocab - 1, *(dice.randrange(rows.vocab) for _ in range(50))):
        rows.mask_array[0] = 0
        rows.mask_array[0, token // 32] = 1 << token % 32
        assert masks.take([0]) == set()
        assert tokens(masks, 0) == [token]


def test_a_row_that_allows_one_token_allows_no_other(masks: Masks, rows: Rows) -> None:
    masks.allow_only(1, rows.vocab - 1)
    assert tokens(masks, 1) == [rows.vocab - 1]
    assert np.flatnonzero(np.isfinite(rows.bias_array[1])).tolist() == [rows.vocab - 1]
    assert len(tokens(masks, 0)) == rows.vocab
    masks.allow_all(1)
    assert len(tokens(masks, 1)) == rows.vocab
    assert not masks.biases()[1].any()


def test_the_tensor_is_a_view_and_outlives_the_rows() -> None:
    rows = Rows.make(2, 100)
    masks = Masks(rows)
    tensor = masks.tensor()
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.int32, (2, 4))
    masks.allow_only(0, 33)
    rows.close()
    del masks, rows
    assert tensor.tolist() == [[0, 2, 0, 0], [-1, -1, -1, 15]]
