"""Files of others as entries: what an entry needs to know of one, found in its header alone.

The bytes of the tensors are not read, and torch is not needed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from onecopy.errors import CorruptEntry, UnsupportedValue
from onecopy.segments import container
from onecopy.segments.container import BITS
from onecopy.tensors import spec as specs
from onecopy.tensors import tree
from onecopy.tensors.checkpoint import DTYPES, torch_shape

if TYPE_CHECKING:
    from onecopy.segments.container import Header, TensorInfo


class Imported(NamedTuple):
    """What makes a file an entry; offsets are those of the file."""

    data_start: int
    data_end: int
    nbytes: int
    """Of all blocks."""
    spec: bytes
    keys: frozenset[str]
    """The names of its tensors."""
    aligned: bool
    """Whether every tensor begins where its dtype may. If not, the file has to be copied."""


def examine(fd: int, size: int) -> Imported:
    """Read the header of a safetensors file of `size` bytes.

    Raises:
        CorruptEntry: it is not a safetensors file.
        UnsupportedValue: torch has no dtype for one of its tensors.
    """
    header = container.read_header(fd, size)
    own = header.tensors.get(container.SPEC_NAME)
    if own is not None and "onecopy" in header.metadata:
        return _own(fd, header, own)
    tensors = {
        name: info
        for name, info in header.tensors.items()
        if not name.startswith(container.RESERVED)
    }
    blocks: list[tuple[int, int]] = []
    node: list[Any] = [tree.DICT]
    for name, info in tensors.items():
        node += [name, _leaf(name, info, blocks)]
    aligned = all(_is_aligned(header.data_start, info) for info in tensors.values())
    return _imported(header, size - header.data_start, specs.encode(blocks, node), tensors, aligned)


def _own(fd: int, header: Header, info: TensorInfo) -> Imported:
    """Take the spec of a file that onecopy wrote."""
    start, end = info.data_offsets
    packed = os.pread(fd, end - start, header.data_start + start)
    return _imported(header, start, packed, {}, True)


def _imported(
    header: Header, room: int, packed: bytes, tensors: dict[str, TensorInfo], aligned: bool
) -> Imported:
    nbytes = sum(size for _, size in specs.decode(packed, room).blocks)
    start = header.data_start
    return Imported(start, start + room, nbytes, packed, frozenset(tensors), aligned)


def _leaf(name: str, info: TensorInfo, blocks: list[tuple[int, int]]) -> list[Any]:
    """Return the node of a tensor, and add its block."""
    dtype = DTYPES.get(info.dtype)
    if dtype is None:
        raise UnsupportedValue(f"tensor {name!r}: torch has no dtype for {info.dtype}")
    try:
        shape = torch_shape(info)
    except ValueError as error:
        raise CorruptEntry(f"tensor {name!r} has {error}") from error
    start, end = info.data_offsets
    places = [len(blocks), 0] if end > start else []
    if places:
        blocks.append((start, end - start))
    return [tree.LEAF, "torch", [dtype, list(shape)], places]


def _is_aligned(data_start: int, info: TensorInfo) -> bool:
    start, end = info.data_offsets
    return start == end or (data_start + start) % max(1, BITS[info.dtype] // 8) == 0
