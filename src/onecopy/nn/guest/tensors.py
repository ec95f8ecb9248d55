"""Tensors as they lie in a guest's memory, read once and checked.

A tensor is five words: where its dimensions are and how many, its type (in the first byte of the
third word; a compiler may leave anything in the others), where its data is and how many bytes.

There are two numberings of types. The specification's has f64 as 2 and u8 as 3; many guests were
built before f64 was inserted there, with u8 as 2 and i32 as 3. Elements of the two candidates
differ in size, so the length of the data says which is meant.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.nn.guest.refusals import Refused
from onecopy.nn.standard import DTYPES, OLD_TYPES, TYPES, Errno

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.wasm.memory import LinearMemory

MOST_DIMENSIONS: Final = 16
_RECORD: Final = struct.Struct("<IIB3xII")


class Tensor(NamedTuple):
    """A tensor that a guest passes; `data` is in its memory, which it may change later."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


def read_tensor(memory: LinearMemory, address: int) -> Tensor:
    """Return the tensor at an address.

    Raises:
        InvalidArgument: a part of it is outside of the memory.
        Refused: its type, dimensions and length contradict each other.
    """
    at, rank, number, data, nbytes = _RECORD.unpack(memory.read(address, _RECORD.size))
    shape = _shape(memory, at, rank)
    return Tensor(_dtype(number, shape, nbytes), shape, memory.view(data, nbytes))


def read_text(memory: LinearMemory, address: int) -> Tensor:
    """Return the bytes of a text, whatever its dimensions say: guests have 1 there, or its length.

    Raises:
        InvalidArgument: a part of it is outside of the memory.
    """
    *_, data, nbytes = _RECORD.unpack(memory.read(address, _RECORD.size))
    return Tensor("u8", (nbytes,), memory.view(data, nbytes))


def _shape(memory: LinearMemory, address: int, rank: int) -> tuple[int, ...]:
    if rank > MOST_DIMENSIONS:
        raise _refused(f"a tensor of {rank} dimensions; at most {MOST_DIMENSIONS} are taken")
    return struct.unpack(f"<{rank}I", memory.read(address, 4 * rank))


def _dtype(number: int, shape: Sequence[int], nbytes: int) -> str:
    elements = math.prod(shape)
    if not elements:
        raise _refused(f"a tensor of the shape {tuple(shape)} has no elements")
    candidates = [names[number] for names in (TYPES, OLD_TYPES) if number < len(names)]
    for dtype in candidates:
        if elements * DTYPES[dtype] == nbytes:
            return dtype
    if not candidates:
        raise _refused(f"there is no type of tensors with the number {number}")
    types = " or ".join(dict.fromkeys(candidates))
    raise _refused(f"a tensor {tuple(shape)} of {types} does not have {nbytes} bytes")


def _refused(text: str) -> Refused:
    return Refused(Errno.INVALID_ARGUMENT, text)
