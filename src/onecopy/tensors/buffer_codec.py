"""Whatever exports the buffer protocol: bytes, bytearray, memoryview, array, mmap, ctypes.

It comes back as a memoryview. The meta is `[format, shape]`.
"""

from __future__ import annotations

import ctypes
import math
import struct
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import CorruptEntry, UnsupportedValue
from onecopy.tensors.codec import Leaf, Memory, Meta, Segment

if TYPE_CHECKING:
    from collections.abc import Sequence

# What memoryview.cast accepts; other formats come back as plain bytes.
_FORMATS: Final = frozenset("cbB?hHiIlLqQnNfd")


class BufferCodec:
    """Stores contiguous buffers."""

    name = "buffer"
    types = ("bytes", "bytearray", "memoryview", "array.array", "mmap.mmap")

    def encode(self, value: Any) -> Leaf:
        """Describe a buffer; raise `UnsupportedValue` for what has none."""
        view = _view(value)
        item = view.format if view.format in _FORMATS else "B"
        shape = [view.nbytes] if item != view.format else list(view.shape or ())
        if view.nbytes == 0:
            return Leaf([item, shape])
        # A copied view keeps the buffer locked until the bytes are written.
        return Leaf([item, shape], [Memory(address_of(view), view.nbytes, view, view.itemsize)])

    def decode(self, meta: Meta, places: Sequence[int], segment: Segment) -> memoryview:
        """Return a memoryview of the bytes, in the format and shape they had."""
        item, shape = meta
        if item not in _FORMATS:
            raise CorruptEntry(f"a buffer cannot have the format {item!r}")
        nbytes = math.prod(shape) * struct.calcsize(item)
        if nbytes == 0:
            return memoryview(b"")
        block, offset = places
        view = segment.view(block, offset, nbytes)
        return view if item == "B" and len(shape) == 1 else view.cast(item, shape)


def _view(value: Any) -> memoryview:
    try:
        view = memoryview(value)
    except TypeError:
        kind = type(value)
        raise UnsupportedValue(
            f"{kind.__module__}.{kind.__qualname__} cannot be stored; convert it to a tensor, an "
            "array, bytes or a nested dict, list or tuple of them, or register a codec "
            "(docs/codecs.md)"
        ) from None
    if not view.c_contiguous:
        raise UnsupportedValue("a buffer with gaps cannot be stored; save `bytes(it)`")
    return view


class _PyBuffer(ctypes.Structure):
    """CPython's `Py_buffer`, whose first field is the address."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("rest", ctypes.c_byte * 128),
    )


_get_buffer = ctypes.pythonapi.PyObject_GetBuffer
_get_buffer.argtypes = [ctypes.py_object, ctypes.POINTER(_PyBuffer), ctypes.c_int]
_release_buffer = ctypes.pythonapi.PyBuffer_Release
_release_buffer.argtypes = [ctypes.POINTER(_PyBuffer)]


def address_of(view: memoryview) -> int:
    """Return where a buffer lies."""
    # ctypes' from_buffer refuses read-only memory, so ask CPython itself.
    buffer = _PyBuffer()
    _get_buffer(view, ctypes.byref(buffer), 0)
    address: int = buffer.buf
    _release_buffer(ctypes.byref(buffer))
    return address


codec = BufferCodec()
