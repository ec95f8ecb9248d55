"""The segments that clients hand over: what may be in them, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import InvalidArgument, LimitReached, UnsupportedOperation
from onecopy.nn.service import segment as module
from onecopy.nn.service.messages import ALIGN, SEGMENT, Tensor
from onecopy.nn.service.segment import (
    Segment,
    aligned,
    check_outputs,
    check_tensor,
    dtype_of,
    needed,
    numpy_dtype,
)
from onecopy.nn.standard import DTYPES
from onecopy.segments import region

NBYTES = 4096


@pytest.fixture
def fd():
    fd = region.create("test", NBYTES)
    region.seal(fd, mutable=True)
    yield fd
    os.close(fd)


def test_inputs_are_views_but_for_integers_whose_values_are_looked_at(fd) -> None:
    segment = Segment(fd, NBYTES)
    os.pwrite(fd, np.array([1.5], np.float32).tobytes() + bytes(60) + b"\x07", 0)
    single, byte, none = segment.arrays(
        [Tensor("f32", (1,), 0, 4), Tensor("u8", (1,), 64, 1), None]
    )
    assert none is None
    os.pwrite(fd, bytes(65), 0)
    assert single.tolist() == [0]
    assert byte.tolist() == [7]
    with pytest.raises(ValueError, match="read-only"):
        single[0] = 1


def test_outputs_are_written_one_after_another_where_there_is_room(fd) -> None:
    segment = Segment(fd, NBYTES)
    outputs = [np.arange(3, dtype=np.int64), np.ones((2, 4), np.float32)[:, ::2], np.zeros((0, 2))]
    placed = segment.put(outputs, 128)
    assert [each.offset for each in placed] == [128, 192, 256]
    assert [each.shape for each in placed] == [(3,), (2, 2), (0, 2)]
    for output, where in zip(outputs, placed, strict=True):
        raw = os.pread(fd, where.nbytes, where.offset)
        assert np.array_equal(np.frombuffer(raw, output.dtype).reshape(output.shape), output)
    with pytest.raises(InvalidArgument):
        segment.put([np.zeros(1)], NBYTES)


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor("u8", (4,), -64, 4),
        Tensor("u8", (4,), 1, 4),
        Tensor("u8", (4,), NBYTES, 4),
        Tensor("u8", (NBYTES,), 64, NBYTES),
        Tensor("u8", (4,), 0, 5),
        Tensor("u8", (-4,), 0, -4),
        Tensor("bf16", (2,), 0, 4),
        Tensor("u8", (1,) * 17, 0, 1),
        Tensor("f64", (1 << 62,), 0, 0),
    ],
)
def test_inputs_elsewhere_or_of_other_sizes_are_refused(fd, tensor) -> None:
    with pytest.raises(InvalidArgument):
        Segment(fd, NBYTES).arrays([tensor])


def test_only_memfds_that_cannot_be_cut_short_are_mapped(tmp_path) -> None:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(file, NBYTES)
    loose = region.create("test", NBYTES)
    reader, writer = os.pipe()
    for fd in (file, loose, reader):
        with pytest.raises(InvalidArgument):
            Segment(fd, NBYTES)
    region.seal(loose, mutable=True)
    for nbytes in (0, NBYTES - 1, NBYTES + 1, SEGMENT + 1):
        with pytest.raises(InvalidArgument):
            Segment(loose, nbytes)
    read_only = region.reopen(loose)
    with pytest.raises(InvalidArgument, match="mapped"):
        Segment(read_only, NBYTES)
    for fd in (file, loose, reader, writer, read_only):
        os.close(fd)


@given(st.integers(0, SEGMENT))
def test_tensors_begin_at_multiples(nbytes) -> None:
    assert 0 <= aligned(nbytes) - nbytes < ALIGN
    assert aligned(nbytes) % ALIGN == 0


def test_types_have_two_names_and_both_are_known() -> None:
    for dtype, size in DTYPES.items():
        array = np.zeros(2, numpy_dtype(dtype))
        assert array.itemsize == size
        assert dtype_of(array) == dtype
        check_tensor(dtype, (2,), 2 * size)
    with pytest.raises(UnsupportedOperation):
        dtype_of(np.zeros(1, np.uint16))
    with pytest.raises(InvalidArgument):
        numpy_dtype("float32")


def test_results_that_do_not_fit_into_a_message_or_a_segment_are_refused(monkeypatch) -> None:
    one = np.zeros(10, np.uint8)
    assert needed([one, one]) == 128
    check_outputs([one] * 64)
    check_outputs([one.reshape((1,) * 15 + (-1,))])
    for wrong in ([one] * 65, [one.reshape((1,) * 16 + (-1,))]):
        with pytest.raises(LimitReached):
            check_outputs(wrong)
    monkeypatch.setattr(module, "SEGMENT", 127)
    with pytest.raises(LimitReached, match="127 bytes"):
        check_outputs([one, one])
