"""Sources of copies: for what cannot be mapped, or is not to be shared."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from onecopy.errors import WindowRefused
from onecopy.guests.windows.source import Source
from onecopy.guests.windows.tensor_view import view_of
from onecopy.segments import region

if TYPE_CHECKING:
    from onecopy.guests.windows.source import Access


def copied(value: Any, access: Access) -> Source:
    """Copy a value into a segment of its own, once: its pages are what the guest has.

    Raises:
        WindowRefused: it is no single tensor, or runs backwards.
    """
    from onecopy.tensors import codec
    from onecopy.tensors.codec import Leaf

    view = view_of(value)
    if min(view.strides, default=0) < 0:
        raise WindowRefused("the array runs backwards; give `numpy.ascontiguousarray(it)`")
    leaf = codec.for_type(type(value)).encode(value)
    if not isinstance(leaf, Leaf):
        raise WindowRefused(f"a window shows one tensor, not a {type(value).__name__}")
    fd = region.create("onecopy-window")
    try:
        contiguous = _fill(fd, leaf.memory[0])
        region.seal(fd, mutable=True)
    except BaseException:
        os.close(fd)
        raise
    strides = _contiguous(view.shape) if contiguous else view.strides
    source = Source.of(view._replace(strides=strides), fd, 0, access, None)
    source.copied = True
    return source


def _fill(fd: int, memory: Any) -> bool:
    """Write a tensor's elements; return whether they were gathered."""
    from onecopy.segments.mapping import map_to_fill, memory_at

    if memory.compact is None:
        region.write(fd, [memory_at(memory.address, memory.nbytes)])
        return False
    os.ftruncate(fd, memory.compact.nbytes)
    mapping = map_to_fill(fd, memory.compact.nbytes)
    memory.compact.write(mapping.view())
    return True


def _contiguous(shape: tuple[int, ...]) -> tuple[int, ...]:
    strides, inner = [], 1
    for n in reversed(shape):
        strides.append(inner)
        inner *= n
    return tuple(reversed(strides))
