"""Merging memory that leaves share: what overlaps is stored once, as one block.

Two views overlap in memory exactly if they share a storage and can see each other's
writes. So addresses say all there is to know, across codecs too: a tensor and the array
that shares its memory land in one block, and a slice of a big storage stores the slice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.tensors.codec import Memory

# Views of unlike element sizes may meet in one block: it keeps their addresses modulo this.
_ALIGNMENT = 16


class Extent(NamedTuple):
    """Memory that will be one block, and which pieces lie in it."""

    start: int
    nbytes: int
    members: tuple[int, ...]
    """Indices of the memories that it covers."""
    lead: int
    """How far behind an aligned offset to put it, so that every member stays aligned."""


def merge(memories: Sequence[Memory]) -> list[Extent]:
    """Group `memories` into extents that do not overlap, in the order of first appearance."""
    groups: list[list[int]] = []
    end = 0
    for index in sorted(range(len(memories)), key=lambda i: memories[i].address):
        memory = memories[index]
        if groups and memory.address < end:
            groups[-1].append(index)
            end = max(end, memory.address + memory.nbytes)
        else:
            groups.append([index])
            end = memory.address + memory.nbytes
    return [_extent(memories, group) for group in sorted(groups, key=min)]


def _extent(memories: Sequence[Memory], group: list[int]) -> Extent:
    members = [memories[index] for index in group]
    start = min(memory.address for memory in members)
    end = max(memory.address + memory.nbytes for memory in members)
    uniform = all((each.address - start) % each.itemsize == 0 for each in members)
    return Extent(start, end - start, tuple(sorted(group)), 0 if uniform else start % _ALIGNMENT)
