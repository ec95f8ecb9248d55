"""Buffers: tensors whose rows own their pages."""

from __future__ import annotations

import os

import pytest
import torch

import onecopy
from onecopy import guests
from onecopy.errors import EntryExists, InvalidArgument, StoreFull
from onecopy.guests.windows.sources import source_of
from tests.prepared import output_of


@pytest.mark.parametrize("vocab", [1, 1024, 32000, 50257, 128256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_begin_on_pages_whatever_their_length(store, vocab, dtype):
    rows = guests.buffer(3, vocab, dtype=dtype, store=store)
    assert (rows.shape, rows.dtype) == ((3, vocab), dtype)
    assert rows.stride(0) * rows.element_size() % 4096 == 0
    assert not rows.any()
    for row in rows:
        with source_of(row, "rw") as source:
            assert (source.lead, source.shape) == (0, (vocab,))


def test_what_is_written_through_a_row_is_in_the_tensor_and_in_no_other_row(store):
    rows = guests.buffer(3, 50257, store=store)
    with source_of(rows[1], "rw") as source:
        os.pwrite(source.fd, b"\xff" * source.extent, source.offset)
    assert rows[1].isnan().all()
    assert not rows[0].any()
    assert not rows[2].any()


def test_the_whole_buffer_is_a_window_with_strides(store):
    rows = guests.buffer(2, 3, 1000, store=store)
    with source_of(rows, "rw") as source:
        assert (source.shape, source.strides) == ((2, 3, 1000), (3072, 1024, 1))
    with source_of(rows[1], "rw") as source:
        assert (source.shape, source.strides) == ((3, 1000), (1024, 1))


def test_another_process_sees_the_rows_and_writes_to_them(store):
    rows = guests.buffer(4, 50257, store=store, name="logits")
    rows[2, 5] = 7
    program = (
        "import onecopy; rows = onecopy.connect('test').load('logits'); rows[3] = 1;"
        "print(tuple(rows.shape), rows[2, 5].item())"
    )
    assert output_of(program) == "(4, 50257) 7.0"
    assert rows[3].sum() == 50257


def test_a_plain_reader_finds_the_padded_tensor(store, tmp_path):
    from safetensors.torch import load_file

    guests.buffer(2, 1000, store=store, name="logits")
    path = tmp_path / "logits.safetensors"
    store.snapshot(path, "logits")
    assert load_file(path)["value"].shape == (2, 1024)
    with onecopy.open(path) as snapshot:
        assert snapshot.load("logits").shape == (2, 1000)


def test_without_a_name_it_goes_with_its_last_user(store):
    guests.buffer(2, 10, store=store)
    (name,) = store.names()
    assert name.startswith("onecopy-buffer/")
    assert store.stat(name).ttl == 60


def test_the_dtype_may_follow_the_sizes(store):
    rows = guests.buffer(2, 50257, torch.float16, store=store)
    assert rows.dtype is torch.float16
    assert rows.shape == (2, 50257)
    with pytest.raises(InvalidArgument, match="dtype"):
        guests.buffer(2, torch.float16, 50257, store=store)


def test_bad_shapes_and_names_are_refused(store):
    for shape in ((), (0,), (3, 0), (-1,), (2.0,)):
        with pytest.raises(InvalidArgument, match="sizes of 1 or more"):
            guests.buffer(*shape, store=store)
    guests.buffer(2, 10, store=store, name="taken")
    with pytest.raises(EntryExists):
        guests.buffer(2, 10, store=store, name="taken")
    with pytest.raises(StoreFull):
        guests.buffer(1000, 128256, store=store)
