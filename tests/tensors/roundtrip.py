"""Through a segment and back, without a store."""

from __future__ import annotations

import os
from typing import Any

from onecopy.segments import region
from onecopy.segments.mapping import Mode, map_fd
from onecopy.tensors import spec
from onecopy.tensors.values import Packed, unpack


def to_segment(packed: Packed) -> int:
    """Write a packed value to a sealed memfd and return it."""
    fd = region.create("test")
    packed.write(fd)
    region.seal(fd)
    assert os.fstat(fd).st_size == packed.size
    return fd


def roundtrip(value: Any, mode: Mode = "private", align: int = 64) -> Any:
    """Return what a load of the saved value gives."""
    packed = Packed(value, align)
    fd = to_segment(packed)
    mapping = map_fd(fd, packed.size, mode)
    os.close(fd)
    layout = spec.decode(packed.spec, packed.spec_offset - packed.data_start)
    return unpack(mapping, packed.data_start, layout, mode)


def file_bytes(value: Any, align: int = 64) -> bytes:
    """Return the bytes of the saved value's segment."""
    fd = to_segment(Packed(value, align))
    try:
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)
