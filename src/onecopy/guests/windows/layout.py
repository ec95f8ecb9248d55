"""Which bytes of a segment belong to whom: what decides whether a tensor owns its pages.

A window shows whole pages. The header, the padding and the spec of an entry may be seen beside the
tensor, in a window that only reads; other tensors, and other parts of the same one, may not.
"""

from __future__ import annotations

import bisect
import math
import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from onecopy.guests.wasm.memory import PAGE, pages
from onecopy.segments import container
from onecopy.tensors import spec as specs
from onecopy.tensors.tree import BRANCH, LEAF

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    Interval = tuple[int, int]

# More pieces than any batch has rows; what has more is treated as if it had no gaps.
_PIECES: Final = 1 << 16


def pieces(
    start: int, itemsize: int, shape: Sequence[int], strides: Sequence[int]
) -> list[Interval] | None:
    """Return the bytes of a strided tensor, first to last; strides are in bytes.

    None if it overlaps itself, runs backwards or has too many pieces.
    """
    run = itemsize
    dims = sorted((stride, n) for stride, n in zip(strides, shape, strict=True) if n > 1)
    while dims and dims[0][0] == run:
        run *= dims.pop(0)[1]
    starts = [start]
    for stride, n in dims:
        if stride < run or n * len(starts) > _PIECES:
            return None
        starts = [at + i * stride for i in range(n) for at in starts]
    starts.sort()
    if any(b - a < run for a, b in pairwise(starts)):
        return None
    return [(at, at + run) for at in starts]


class Layout:
    """The parts of an entry's segment, by their offsets in it."""

    def __init__(self, fd: int) -> None:
        """Read the header and the spec of an entry.

        Raises:
            CorruptEntry: it is none.
        """
        size = os.fstat(fd).st_size
        header = container.read_header(fd, size)
        start, end = header.tensors[container.SPEC_NAME].data_offsets
        self._data = header.data_start
        self._end = header.data_start + start
        packed = os.pread(fd, end - start, self._end)
        self._spec = specs.decode(packed, start)

    def covers(self, own: Sequence[Interval], *, writable: bool) -> bool:
        """Return whether nothing else lies on the pages from the first byte of `own` to the last.

        `own` are the bytes of a tensor, in order.
        """
        first, last = own[0][0] // PAGE * PAGE, pages(own[-1][1])
        if writable and (first < self._data or last > self._end):
            return False
        return all(
            _within(max(start, first), min(end, last), own)
            for start, end in self._taken(first, last)
            if start < last and end > first
        )

    def _taken(self, first: int, last: int) -> Iterator[Interval]:
        for number, (offset, nbytes) in enumerate(self._spec.blocks):
            start = self._data + offset
            if start < last and start + nbytes > first:
                yield from self._pieces_of(number, start, nbytes)

    def _pieces_of(self, number: int, start: int, nbytes: int) -> Iterable[Interval]:
        """Return the bytes of a block that are some tensor's."""
        found: list[Interval] = []
        for codec, meta, offset in _leaves(self._spec.tree, number):
            parts = _leaf_pieces(codec, meta, start + offset)
            if parts is None:
                return [(start, start + nbytes)]
            found += parts
        return found


def _within(start: int, end: int, own: Sequence[Interval]) -> bool:
    """Return whether one of the intervals has all bytes from `start` to `end`."""
    at = bisect.bisect_right(own, (start, math.inf)) - 1
    return at >= 0 and own[at][1] >= end


def _leaves(node: Any, block: int) -> Iterator[tuple[str, Any, int]]:
    """Yield codec, meta and offset of every leaf of a tree that lies in a block."""
    if type(node) is not list or not node:
        return
    if node[0] == LEAF:
        _, codec, meta, places = node
        for number, offset in zip(places[::2], places[1::2], strict=True):
            if number == block:
                yield codec, meta, offset
        return
    for each in node[3 if node[0] == BRANCH else 1 :]:
        yield from _leaves(each, block)


def _leaf_pieces(codec: str, meta: Any, start: int) -> list[Interval] | None:
    """Return where a leaf's bytes are, if its meta says that there are gaps between them."""
    if codec != "torch" or len(meta) != 4 or meta[2] is None:
        return None
    from onecopy.tensors.torch_dtypes import itemsize

    name, shape, strides, _ = meta
    size = itemsize(name)
    if not size:
        return None
    return pieces(start, size, shape, [size * each for each in strides])
