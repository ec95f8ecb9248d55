"""The blocks of a segment to be: the memory of a value's leaves, each piece of it once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from onecopy.segments import region
from onecopy.segments.container import Label
from onecopy.segments.mapping import map_to_fill, memory_at
from onecopy.tensors import tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.tensors.codec import Leaf, Memory
    from onecopy.tensors.extents import Extent

# So much is written between two reports of progress.
_STEP: Final = 64 << 20

# What a plain reader finds a value as that has no path of its own.
ROOT: Final = "value"


class Gathered:
    """Collects the leaves of a tree: their memory, and their nodes to complete later."""

    def __init__(self) -> None:
        self.memories: list[Memory] = []
        self.paths: list[str] = []
        self.empty: list[Label] = []
        self._nodes: list[tuple[list[Any], int, int]] = []

    def place(self, path: str, codec: str, leaf: Leaf) -> list[Any]:
        """Note a leaf's memory; return its node, which `settle` completes."""
        node = [tree.LEAF, codec, leaf.meta, []]
        first, path = len(self.memories), path or ROOT
        for memory in leaf.memory:
            if memory.nbytes:
                self.memories.append(memory)
                self.paths.append(path)
            else:
                self.empty.append(Label(path, memory.dtype, memory.shape or (0,)))
        self._nodes.append((node, first, len(self.memories) - first))
        return node

    def settle(self, blocks: list[Block]) -> None:
        """Fill in which block every piece of memory ended up in, and where."""
        where = {}
        for number, block in enumerate(blocks):
            for index in block.extent.members:
                where[index] = number
        for node, first, count in self._nodes:
            for index in range(first, first + count):
                block = blocks[where[index]]
                node[3] += [where[index], block.offset_of(index)]
                if block.compact:
                    node[2] = block.compact.meta


class Block:
    """One block of the segment to be."""

    def __init__(self, extent: Extent, memories: list[Memory]) -> None:
        self.extent = extent
        self._memories = memories
        first = memories[extent.members[0]]
        self.compact = first.compact if len(extent.members) == 1 else None
        self.nbytes = self.compact.nbytes if self.compact else extent.nbytes

    def offset_of(self, index: int) -> int:
        """Return where in the block a piece of memory begins, by its number."""
        return self._memories[index].address - self.extent.start

    def label(self, paths: list[str]) -> Label:
        """Say how a plain safetensors reader sees it: as the tensor that fills it, if one does."""
        for index in self.extent.members:
            memory = self._memories[index]
            fills = self.compact or (memory.compact is None and memory.nbytes == self.nbytes)
            if memory.shape is not None and fills:
                return Label(paths[index], memory.dtype, memory.shape)
        return Label(paths[self.extent.members[0]], "U8", (self.nbytes,))

    def view(self) -> memoryview:
        """Return the memory that it is to be filled from, if that is not to be gathered."""
        return memory_at(self.extent.start, self.extent.nbytes)

    def write(self, fd: int, offset: int) -> Iterator[int]:
        """Write the block, and yield now and then how many bytes were written."""
        if self.compact is None:
            view = self.view()
            for start in range(0, self.nbytes, _STEP):
                piece = view[start : start + _STEP]
                region.write(fd, [piece], offset + start)
                yield len(piece)
            return
        # Straight into the segment: gathering into a buffer first would copy twice.
        mapping = map_to_fill(fd, offset + self.nbytes)
        # While anybody has it mapped for writing, a segment cannot be sealed.
        self.compact.write(mapping.view(offset, self.nbytes))
        yield self.nbytes
