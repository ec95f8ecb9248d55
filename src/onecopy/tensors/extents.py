"""Merging memory that leaves share: what overlaps is stored once, as one block.

Two views overlap in memory exactly if they share a storage and can see each other's
writes. So addresses say all there is to know, across codecs too: a tensor and the array
that shares its memory land in one block, and a slice of a big storage stores the slice.
"""

from __future__ import annotations

import itertools
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


def of(memory: Memory) -> Extent:
    """Return the extent of a piece that is alone."""
    return Extent(memory.address, memory.nbytes, (0,), 0)


def merge(memories: Sequence[Memory]) -> list[Extent]:
    """Group `memories` into extents that do not overlap, in the order of first appearance."""
    if len(memories) == 1:
        return [of(memories[0])]
    spans = sorted([(memory.address, memory.nbytes, i) for i, memory in enumerate(memories)])
    if not any(one[0] + one[1] > other[0] for one, other in itertools.pairwise(spans)):
        # Nearly always, and then it is soon said.
        return [Extent(each.address, each.nbytes, (i,), 0) for i, each in enumerate(memories)]
    return _merge_overlapping(memories, [i for _, _, i in spans])


def _merge_overlapping(memories: Sequence[Memory], order: Sequence[int]) -> list[Extent]:
    """Group `memories`, given the order of their addresses."""
    extents = []
    group: list[int] = []
    end = -1
    for index in order:
        memory = memories[index]
        if group and memory.address >= end:
            extents.append(_extent(memories, group, end))
            group = []
        group.append(index)
        end = max(end, memory.address + memory.nbytes)
    if group:
        extents.append(_extent(memories, group, end))
    extents.sort(key=lambda extent: extent.members[0])
    return extents


def _extent(memories: Sequence[Memory], group: list[int], end: int) -> Extent:
    """Make an extent of `group`, which is in the order of addresses."""
    start = memories[group[0]].address
    if len(group) == 1:
        return Extent(start, end - start, (group[0],), 0)
    uniform = all(
        (memories[index].address - start) % memories[index].itemsize == 0 for index in group
    )
    members = tuple(sorted(group))
    return Extent(start, end - start, members, 0 if uniform else start % _ALIGNMENT)
