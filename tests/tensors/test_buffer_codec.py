from __future__ import annotations

import array
import ctypes
import mmap

import pytest

from onecopy.errors import UnsupportedValue
from tests.tensors.roundtrip import roundtrip


@pytest.mark.parametrize(
    "value",
    [b"hello", bytearray(b"hello"), memoryview(b"hello"), (ctypes.c_char * 5)(*b"hello")],
    ids=["bytes", "bytearray", "memoryview", "ctypes"],
)
def test_a_buffer_comes_back_as_a_memoryview(value: object) -> None:
    loaded = roundtrip(value)
    assert type(loaded) is memoryview
    assert loaded.tobytes() == b"hello"


def test_a_map_comes_back_as_a_memoryview() -> None:
    with mmap.mmap(-1, 4096) as value:
        value[:3] = b"abc"
        assert bytes(roundtrip(value)[:4]) == b"abc\0"


def test_the_format_and_shape_come_back() -> None:
    view = memoryview(array.array("i", range(6))).cast("B").cast("i", [2, 3])
    loaded = roundtrip(view)
    assert (loaded.format, loaded.shape) == ("i", (2, 3))
    assert loaded.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_empty_buffer_comes_back() -> None:
    assert bytes(roundtrip(b"")) == b""


def test_a_private_load_can_be_written() -> None:
    loaded = roundtrip(b"hello")
    loaded[0] = ord("j")
    assert bytes(loaded) == b"jello"


def test_a_readonly_load_cannot_be_written() -> None:
    assert roundtrip(b"hello", mode="readonly").readonly


def test_a_saved_bytearray_can_grow_again() -> None:
    value = bytearray(b"hello")
    roundtrip([value])
    value.extend(b" world")


def test_a_buffer_with_gaps_is_refused() -> None:
    with pytest.raises(UnsupportedValue, match="gaps"):
        roundtrip(memoryview(b"abcdef")[::2])
