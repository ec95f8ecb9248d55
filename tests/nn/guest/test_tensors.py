"""Tensors as guests pass them: two numberings of types, and what is none."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import InvalidArgument
from onecopy.guests.wasm.engine import engine
from onecopy.guests.wasm.memory import WASM_PAGE, LinearMemory
from onecopy.nn.guest.refusals import Refused
from onecopy.nn.guest.tensors import MOST_DIMENSIONS, read_tensor, read_text
from onecopy.nn.standard import DTYPES, OLD_TYPES, TYPES

AT, DIMENSIONS, DATA = 0, 64, 4096


def memory(pages: int = 1) -> LinearMemory:
    store = wasmtime.Store(engine())
    limits = wasmtime.Limits(pages, None)
    made = wasmtime.Memory(store, wasmtime.MemoryType(limits))
    return LinearMemory(store, made, pages * WASM_PAGE)


MEMORY = memory()


def put(number: int, shape: Sequence[int], nbytes: int, *, data: int = DATA) -> None:
    MEMORY.write(DIMENSIONS, struct.pack(f"<{len(shape)}I", *shape))
    MEMORY.write(AT, struct.pack("<5I", DIMENSIONS, len(shape), number, data, nbytes))


@pytest.mark.parametrize("names", [TYPES, OLD_TYPES])
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (1,) * MOST_DIMENSIONS])
def test_the_length_tells_the_two_numberings_apart(names, shape):
    for number, dtype in enumerate(names):
        nbytes = math.prod(shape) * DTYPES[dtype]
        put(number, shape, nbytes)
        assert read_tensor(MEMORY, AT)[:2] == (dtype, shape)
        assert read_tensor(MEMORY, AT).data.nbytes == nbytes


@given(
    number=st.integers(0, 255),
    shape=st.lists(st.sampled_from([0, 1, 2, 3, 255, 65536, 2**31, 2**32 - 1]), max_size=6),
    nbytes=st.integers(0, 2 * WASM_PAGE),
    data=st.sampled_from([0, DATA, WASM_PAGE - 1, WASM_PAGE, 2**32 - 1]),
)
def test_what_is_read_is_consistent_and_all_else_is_refused(number, shape, nbytes, data):
    put(number, shape, nbytes, data=data)
    try:
        tensor = read_tensor(MEMORY, AT)
    except (Refused, InvalidArgument):
        return
    assert tensor.data.nbytes == nbytes == math.prod(shape) * DTYPES[tensor.dtype]
    assert data + nbytes <= MEMORY.nbytes
    assert nbytes > 0


def test_more_dimensions_than_there_may_be_are_not_read():
    put(1, (1,) * 17, 4)
    with pytest.raises(Refused, match="17 dimensions"):
        read_tensor(MEMORY, AT)
    MEMORY.write(AT, struct.pack("<5I", DIMENSIONS, 2**32 - 1, 1, DATA, 4))
    with pytest.raises(Refused, match="dimensions"):
        read_tensor(MEMORY, AT)


@pytest.mark.parametrize("at", [WASM_PAGE - 19, WASM_PAGE, 2**32 - 1])
def test_a_tensor_that_lies_outside_of_the_memory_is_refused(at):
    with pytest.raises(InvalidArgument):
        read_tensor(MEMORY, at)
    with pytest.raises(InvalidArgument):
        read_text(MEMORY, at)


def test_only_the_first_byte_of_the_type_counts():
    put(1 | 0xABCDEF00, (1,), 4)
    assert read_tensor(MEMORY, AT).dtype == "f32"


def test_a_texts_dimensions_are_not_looked_at():
    for shape, nbytes in (((1,), 5), ((5,), 5), ((0,), 0)):
        put(2, shape, nbytes)
        assert read_text(MEMORY, AT)[:2] == ("u8", (nbytes,))


def test_what_a_tensor_shows_is_the_guests_memory():
    MEMORY.write(DATA, b"abcd")
    put(3, (4,), 4)
    data = read_tensor(MEMORY, AT).data
    assert bytes(data) == b"abcd"
    MEMORY.write(DATA, b"x")
    assert bytes(data) == b"xbcd"
