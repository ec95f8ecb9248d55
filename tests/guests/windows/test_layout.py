"""Which bytes of a segment belong to whom."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import CorruptEntry
from onecopy.guests.windows import layout
from onecopy.segments import container


def spans(start, itemsize, shape, strides):
    """The bytes of a tensor, one by one."""
    found = [start]
    for n, stride in zip(shape, strides, strict=True):
        found = [at + i * stride for at in found for i in range(n)]
    return [at + i for at in found for i in range(itemsize)]


dims = st.lists(st.tuples(st.integers(1, 4), st.integers(-8, 40)), max_size=3)


@given(dims, st.sampled_from([1, 2, 4]))
def test_pieces_are_the_bytes_of_the_tensor(dims, itemsize):
    shape, strides = [n for n, _ in dims], [itemsize * s for _, s in dims]
    every = spans(1000, itemsize, shape, strides)
    found = layout.pieces(1000, itemsize, shape, strides)
    if found is not None:
        listed = [at for start, end in found for at in range(start, end)]
        assert listed == sorted(every)
    else:
        overlaps = len(set(every)) < len(every)
        backwards = any(s < 0 for n, s in zip(shape, strides, strict=True) if n > 1)
        scattered = any(0 <= s < itemsize * 4**3 for s in strides)
        assert overlaps or backwards or scattered


def layout_of(store, value, align: int) -> tuple[layout.Layout, dict[str, tuple[int, int]]]:
    """Save a value; return its layout, and where its tensors lie."""
    store.save("x", value, align=align)
    fd, _ = store._entries.open("x")
    try:
        header = container.read_header(fd, os.fstat(fd).st_size)
        found = layout.Layout(fd)
    finally:
        os.close(fd)
    start = header.data_start
    offsets = {name: info.data_offsets for name, info in header.tensors.items()}
    return found, {name: (start + first, start + end) for name, (first, end) in offsets.items()}


def test_the_header_may_be_seen_but_not_written_to(store):
    found, at = layout_of(store, {"a": torch.ones(512)}, 64)
    assert found.covers([at["a"]], writable=False)
    assert not found.covers([at["a"]], writable=True)


def test_tensors_on_one_page_are_seen_together_or_not_at_all(store):
    found, at = layout_of(store, {"a": torch.ones(512), "b": torch.ones(512)}, 64)
    assert not found.covers([at["a"]], writable=False)
    assert found.covers([at["a"], at["b"]], writable=False)


def test_tensors_on_pages_of_their_own_may_be_written_to(store):
    found, at = layout_of(store, {"a": torch.ones(512), "b": torch.ones(512)}, 4096)
    assert found.covers([at["a"]], writable=True)
    assert found.covers([at["b"]], writable=True)


def test_rows_between_another_s_rows_do_not_own_what_lies_between(store):
    both = torch.ones(2, 2048)
    found, at = layout_of(store, {"left": both[:, :1024], "right": both[:, 1024:]}, 4096)
    ((start, end),) = [where for name, where in at.items() if where[1] - where[0] == both.nbytes]
    rows = [(start, start + 4096), (start + 8192, start + 12288)]
    assert not found.covers(rows, writable=False)
    assert found.covers(rows[:1], writable=True)
    assert found.covers([(start, end)], writable=False)


def test_what_is_no_entry_has_no_layout(tmp_path):
    path = tmp_path / "none"
    path.write_bytes(b"no entry at all")
    with path.open("rb") as file, pytest.raises(CorruptEntry):
        layout.Layout(file.fileno())
