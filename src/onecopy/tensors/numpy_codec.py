"""numpy arrays and scalars: `[scalar, dtype, shape, strides or None, first]` is the meta.

`first` is the offset of element (0, 0, …) in the leaf's memory; it is not 0 when a stride
is negative.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from onecopy.errors import CorruptEntry, UnsupportedValue
from onecopy.tensors.codec import Compact, Leaf, Memory, Meta, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    Array = np.ndarray[Any, np.dtype[Any]]

# How safetensors calls a dtype, and what it sees as an extra last dimension.
_LABELS: Final[dict[str, tuple[str, tuple[int, ...]]]] = {
    **{f"|{code}1": (name, ()) for code, name in (("b", "BOOL"), ("u", "U8"), ("i", "I8"))},
    **{f"<u{n}": (f"U{8 * n}", ()) for n in (2, 4, 8)},
    **{f"<i{n}": (f"I{8 * n}", ()) for n in (2, 4, 8)},
    **{f"<f{n}": (f"F{8 * n}", ()) for n in (2, 4, 8)},
    "<c8": ("C64", ()),
    "<c16": ("F64", (2,)),
}

# Element types that the package ml_dtypes adds to numpy; their `.str` says nothing.
_EXTENDED: Final = "ml_dtypes."


class NumpyCodec:
    """Stores `numpy.ndarray` (and `memmap`, which comes back as one) and numpy scalars."""

    name = "numpy"
    types = ("numpy.ndarray", "numpy.generic")

    def encode(self, value: Any) -> Leaf:
        """Describe an array of any dtype without Python objects; strides are kept."""
        scalar = isinstance(value, np.generic)
        array: Array = np.asarray(value) if scalar else value
        if type(array) not in (np.ndarray, np.memmap):
            raise UnsupportedValue(
                f"arrays of the subclass {type(array).__qualname__} cannot be stored; "
                "save `numpy.asarray(it)`"
            )
        if array.dtype.hasobject:
            raise UnsupportedValue(
                f"an array of {array.dtype} holds Python objects, which are never pickled; "
                "convert it to a numeric or fixed-width string dtype"
            )
        return _encode(array, int(scalar))

    def decode(self, meta: Meta, places: Sequence[int], segment: Segment) -> Any:
        """Rebuild an array over the block; loaded `readonly` it is not writeable."""
        scalar, packed, shape, strides, first = meta
        dtype = _unpack_dtype(packed)
        if math.prod(shape) == 0 or dtype.itemsize == 0:
            return _without_bytes(shape, dtype)
        block, offset = places
        buffer = segment.view(block, offset)
        _check_bounds(shape, dtype.itemsize, strides, first, len(buffer))
        array: Array = np.ndarray(shape, dtype, buffer, first, strides)
        return array[()] if scalar else array


def label(dtype: np.dtype[Any]) -> str | None:
    """Return what safetensors calls a dtype; None if it has no name for single elements of it."""
    name, pair = _LABELS.get(dtype.str, (None, ()))
    return None if pair else name


def _encode(array: Array, scalar: int) -> Leaf:
    packed, shape = _pack_dtype(array.dtype), list(array.shape)
    if array.nbytes == 0:
        return Leaf([scalar, packed, shape, None, 0], [_no_bytes(array)])
    contiguous = array.flags.c_contiguous
    strides = None if contiguous else list(array.strides)
    low, high = _bounds(array)
    plain = Compact([scalar, packed, shape, None, 0], array.nbytes, lambda b: _gather(array, b))
    compact = plain if high - low > array.nbytes else None
    label, extra = _LABELS.get(array.dtype.str, ("U8", (array.dtype.itemsize,)))
    seen = (*shape, *extra) if contiguous or compact else None
    start = array.__array_interface__["data"][0]
    align = array.dtype.alignment
    memory = Memory(start + low, high - low, array, align, label, seen, compact)
    return Leaf([scalar, packed, shape, strides, -low], [memory])


def _without_bytes(shape: list[int], dtype: np.dtype[Any]) -> Array:
    """Return an array without bytes."""
    if dtype.itemsize == 0 and dtype.names is None:
        # numpy would allocate a byte for each element of an unsized string.
        raise CorruptEntry(f"an array of shape {shape} has elements of no size")
    return np.empty(shape, dtype)


def _check_bounds(
    shape: list[int], itemsize: int, strides: list[int] | None, first: int, nbytes: int
) -> None:
    """Raise `CorruptEntry` unless every element lies within `nbytes`.

    numpy's own check takes a negative offset, and its sums wrap around at 64 bits.
    """
    if min(shape, default=0) < 0:
        raise CorruptEntry(f"an array of shape {shape}")
    if strides is None:
        low, high = first, first + math.prod(shape) * itemsize
    else:
        spans = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
        low = first + sum(span for span in spans if span < 0)
        high = first + sum(span for span in spans if span > 0) + itemsize
    if low < 0 or high > nbytes:
        raise CorruptEntry(f"an array claims bytes {low} to {high} of {nbytes}")


def _no_bytes(array: Array) -> Memory:
    label, extra = _LABELS.get(array.dtype.str, ("U8", (0,)))
    return Memory(0, 0, array, dtype=label, shape=(*array.shape, *extra))


def _bounds(array: Array) -> tuple[int, int]:
    """Return the first and one past the last byte used, from the first element's address."""
    spans = [(n - 1) * stride for n, stride in zip(array.shape, array.strides, strict=True)]
    low = sum(span for span in spans if span < 0)
    return low, sum(span for span in spans if span > 0) + array.dtype.itemsize


def _gather(array: Array, buffer: memoryview) -> None:
    target: Array = np.ndarray(array.shape, array.dtype, buffer)
    target[...] = array


def _pack_dtype(dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "V" and dtype.names is None and dtype.type is not np.void:
        return _EXTENDED + dtype.name
    return np.lib.format.dtype_to_descr(dtype)


def _unpack_dtype(packed: Any) -> np.dtype[Any]:
    if isinstance(packed, str) and packed.startswith(_EXTENDED):
        import ml_dtypes

        # Of a class that is no element type, numpy makes the type of Python objects.
        dtype: np.dtype[Any] = np.dtype(getattr(ml_dtypes, packed[len(_EXTENDED) :]))
    else:
        dtype = np.lib.format.descr_to_dtype(_as_descr(packed))
    if dtype.hasobject:
        raise UnsupportedValue("the entry claims an array of Python objects")
    return dtype


def _as_descr(packed: Any) -> Any:
    """Give msgpack's lists the types that numpy wants: a list of fields, each a tuple."""
    if isinstance(packed, str):
        return packed
    if packed and isinstance(packed[0], list):
        return [tuple(_as_descr_item(item) for item in field) for field in packed]
    return tuple(_as_descr_item(item) for item in packed)


def _as_descr_item(item: Any) -> Any:
    if not isinstance(item, list):
        return item
    return tuple(item) if all(isinstance(each, (int, str)) for each in item) else _as_descr(item)


codec = NumpyCodec()
