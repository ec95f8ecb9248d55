"""The two ends: a Python value to the bytes of a segment, and a mapped segment to a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from onecopy.segments import container, region
from onecopy.segments.container import Label
from onecopy.tensors import codec as codecs
from onecopy.tensors import extents, spec, tree
from onecopy.tensors.blocks import ROOT, Block, Gathered
from onecopy.tensors.codec import Branch, Segment
from onecopy.tensors.headers import kept_header, new_header

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.segments.mapping import Mapping, Mode
    from onecopy.tensors.codec import Leaf, Memory
    from onecopy.tensors.spec import Spec

# Up to here a copy takes less time than another thread's turn would.
_SMALL: Final = 64 << 10


class Packed:
    """A value as blocks of memory, and the layout of a segment for them; nothing is copied yet.

    `lay_out` may be left for later, where the blocks may turn out to be in a segment already.
    """

    memory: Memory | None = None
    """The only block, where it is just the memory of a leaf."""
    sizes: list[int]
    """Of the blocks, in bytes."""
    nbytes: int
    """Of all blocks."""

    def __init__(self, value: Any, align: int, *, lay_out: bool = True) -> None:
        self._align = align
        leaf = tree.only_leaf(value)
        if leaf is None or not self._gather_leaf(*leaf):
            self._gather(value, leaf)
        if lay_out:
            self.lay_out()

    def _gather_leaf(self, codec: str, leaf: Leaf | Branch) -> bool:
        """Take a leaf that is one piece of memory: what `_gather` does, in fewer steps."""
        if isinstance(leaf, Branch) or len(leaf.memory) != 1:
            return False
        memory = leaf.memory[0]
        if memory.compact or not memory.nbytes or memory.shape is None:
            return False
        self.memory = memory
        self.sizes, self.nbytes = [memory.nbytes], memory.nbytes
        self._node = [tree.LEAF, codec, leaf.meta, [0, 0]]
        return True

    def _gather(self, value: Any, leaf: tuple[str, Leaf | Branch] | None) -> None:
        gathered = self._gathered = Gathered()
        place = gathered.place
        self._node = tree.encode_leaf(*leaf, place) if leaf else tree.encode(value, place)
        memories = gathered.memories
        self._blocks = [Block(each, memories) for each in extents.merge(memories)]
        gathered.settle(self._blocks)
        self.sizes = [block.nbytes for block in self._blocks]
        self.nbytes = sum(self.sizes)

    def lay_out(self) -> None:
        """Decide where in a segment of its own everything goes."""
        if self.memory is not None:
            self._offsets, end = [0], self.nbytes
        else:
            leads = [block.extent.lead for block in self._blocks]
            self._offsets, end = container.place(self.sizes, leads, self._align)
        self.spec = self.spec_at(self._offsets)
        self.header = self._build_header()
        self.data_start = len(self.header)
        spec_start = container.spec_start(end, self._align)
        self._gap = spec_start - end
        self.spec_offset = self.data_start + spec_start
        self.size = self.spec_offset + len(self.spec)

    def lay_out_at(self, offsets: list[int], room: int) -> bool:
        """Lay out a segment in which the blocks lie at these offsets, behind `room` for a header.

        False if the header needs more room.
        """
        self._offsets = [offset - room for offset in offsets]
        self.spec = self.spec_at(self._offsets)
        last = max(offset + size for offset, size in zip(offsets, self.sizes, strict=True))
        start = container.spec_start(last - room, self._align)
        placed, empty = self._labelled()
        placed.sort(key=lambda each: each[1])
        self.header = new_header(placed, empty, len(self.spec), self._align, room)
        self.data_start = room
        self.spec_offset = room + start
        self.size = self.spec_offset + len(self.spec)
        return len(self.header) == room

    def _build_header(self) -> bytes:
        return kept_header(*self._labelled(), len(self.spec), self._align)

    def _labelled(self) -> tuple[list[tuple[Label, int, int]], list[Label]]:
        """Return label, offset and size of each block, and labels of empty tensors."""
        memory, empty = self.memory, []
        if memory is not None:
            labels = [Label(ROOT, memory.dtype, memory.shape or ())]
        else:
            labels = [block.label(self._gathered.paths) for block in self._blocks]
            empty = self._gathered.empty
        return list(zip(labels, self._offsets, self.sizes, strict=True)), empty

    def pieces(self) -> list[tuple[int, int]] | None:
        """Return address and size of every block; None if there is none, or one to be gathered."""
        if self.memory is not None:
            return [(self.memory.address, self.memory.nbytes)]
        if not self._blocks or any(block.compact for block in self._blocks):
            return None
        return [(block.extent.start, block.nbytes) for block in self._blocks]

    def spec_at(self, offsets: list[int]) -> bytes:
        """Return the packed spec for blocks that lie elsewhere: at these offsets."""
        return spec.encode(list(zip(offsets, self.sizes, strict=True)), self._node)

    def segment(self, label: str, *, mutable: bool) -> int | None:
        """Return a sealed memfd with everything in it, if that can be had in one step."""
        memory = self.memory
        if memory is None or memory.nbytes > _SMALL or self._gap:
            return None
        block = (memory.address, memory.nbytes)
        return region.fill(label, self.header, block, self.spec, mutable=mutable)

    def as_file(self, trailer: int, align: int) -> Packed:
        """Make room for what a file has more than a segment: a checksum, `trailer` bytes."""
        self.header = container.as_file(self.header, trailer, align)
        shift = len(self.header) - self.data_start
        self.data_start += shift
        self.spec_offset += shift
        self.size += shift + trailer
        return self

    def write(self, fd: int, progress: Callable[[int], object] | None = None) -> None:
        """Write everything to the empty segment `fd`: each byte of the value is copied once."""
        if self.memory is not None:
            self._blocks = [Block(extents.of(self.memory), [self.memory])]
        if progress is None and not any(block.compact for block in self._blocks):
            views = [block.view() for block in self._blocks]
            blocks = container.fill(self.header, views, self._offsets)
            region.write(fd, [*blocks, bytes(self._gap), self.spec])
            return
        # The end first: the blocks that are gathered in place need the file to be there.
        region.write(fd, [self.spec], self.spec_offset)
        region.write(fd, [self.header])
        for block, offset in zip(self._blocks, self._offsets, strict=True):
            for count in block.write(fd, self.data_start + offset):
                if progress is not None:
                    progress(count)


def unpack(mapping: Mapping, data_start: int, layout: Spec, mode: Mode) -> Any:
    """Rebuild the value that `layout` describes, as views of `mapping`."""
    return tree.decode(layout.tree, Segment(mapping, data_start, layout.blocks, mode))


def builder(data_start: int, layout: Spec, mode: Mode) -> Callable[[Mapping], Any]:
    """Return a quicker `unpack` for a layout that is going to be met again."""
    node = layout.tree
    if type(node) is list and len(node) == 4 and node[0] == tree.LEAF:
        build = getattr(codecs.find(node[1]), "builder", None)
        blocks = [(data_start + offset, nbytes) for offset, nbytes in layout.blocks]
        quick: Callable[[Mapping], Any] | None = build and build(node[2], node[3], blocks)
        if quick is not None:
            return quick
    return lambda mapping: unpack(mapping, data_start, layout, mode)
