"""The two ends: a Python value to the bytes of a segment, and a mapped segment to a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from onecopy.segments import container, region
from onecopy.segments.container import Label
from onecopy.segments.mapping import map_to_fill, memory_at
from onecopy.tensors import codec as codecs
from onecopy.tensors import extents, spec, tree
from onecopy.tensors.codec import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from onecopy.segments.mapping import Mapping, Mode
    from onecopy.tensors.codec import Leaf, Memory
    from onecopy.tensors.extents import Extent
    from onecopy.tensors.spec import Spec

# So much is written between two reports of progress.
_STEP: Final = 64 << 20


# Streams of values of one form are common: their headers are kept.
_headers: dict[tuple[object, ...], bytes] = {}
_HEADERS_LIMIT: Final = 256
_FEW: Final = 4


class Packed:
    """A value laid out for a segment, its bytes not yet copied: where all of them will go."""

    def __init__(self, value: Any, align: int) -> None:
        gathered = _Gathered()
        node = tree.encode(value, gathered.place)
        self._memories = gathered.memories
        self._blocks = [_Planned(each, self._memories) for each in extents.merge(self._memories)]
        sizes = [block.nbytes for block in self._blocks]
        leads = [block.extent.lead for block in self._blocks]
        offsets, end = container.place(sizes, leads, align)
        gathered.settle(self._blocks)
        self.spec = spec.encode(list(zip(offsets, sizes, strict=True)), node)
        labels = [block.label(gathered.paths) for block in self._blocks]
        placed = list(zip(labels, offsets, sizes, strict=True))
        self._header = _header(placed, gathered.empty, len(self.spec), align)
        self._offsets = offsets
        self.data_start = len(self._header)
        self.spec_offset = self.data_start + end
        self.size = self.spec_offset + len(self.spec)
        self.nbytes = sum(sizes)

    def as_file(self, trailer: int, align: int) -> Packed:
        """Make room for what a file has more than a segment: a checksum, `trailer` bytes."""
        self._header = container.as_file(self._header, trailer, align)
        shift = len(self._header) - self.data_start
        self.data_start += shift
        self.spec_offset += shift
        self.size += shift + trailer
        return self

    def write(self, fd: int, progress: Callable[[int], object] | None = None) -> None:
        """Write everything to the empty segment `fd`: each byte of the value is copied once."""
        if progress is None and not any(block.compact for block in self._blocks):
            views = [block.view() for block in self._blocks]
            region.write(fd, [*container.fill(self._header, views, self._offsets), self.spec])
            return
        # The end first: the blocks that are gathered in place need the file to be there.
        region.write(fd, [self.spec], self.spec_offset)
        region.write(fd, [self._header])
        for block, offset in zip(self._blocks, self._offsets, strict=True):
            for count in block.write(fd, self.data_start + offset):
                if progress is not None:
                    progress(count)


def _header(
    placed: list[tuple[Label, int, int]], empty: list[Label], spec_nbytes: int, align: int
) -> bytes:
    if len(placed) > _FEW or empty:
        return _new_header(placed, empty, spec_nbytes, align)
    key = (spec_nbytes, align, *placed)
    header = _headers.get(key)
    if header is None:
        if len(_headers) >= _HEADERS_LIMIT:
            _headers.clear()
        header = _headers[key] = _new_header(placed, empty, spec_nbytes, align)
    return header


def _new_header(
    placed: list[tuple[Label, int, int]], empty: list[Label], spec_nbytes: int, align: int
) -> bytes:
    # Empty tensors have no bytes and no block, but a plain reader expects to find them.
    everything = [(label, 0, 0) for label in empty] + placed
    labels = _unique([label for label, _, _ in everything])
    offsets = [offset for _, offset, _ in everything]
    sizes = [size for _, _, size in everything]
    return container.build_header(zip(labels, offsets, sizes, strict=True), spec_nbytes, align)


class _Gathered:
    """Collects the leaves of a tree: their memory, and their nodes to complete later."""

    def __init__(self) -> None:
        self.memories: list[Memory] = []
        self.paths: list[str] = []
        self.empty: list[Label] = []
        self._nodes: list[tuple[list[Any], int, int]] = []

    def place(self, path: str, codec: str, leaf: Leaf) -> list[Any]:
        node = [tree.LEAF, codec, leaf.meta, []]
        first, path = len(self.memories), path or "value"
        for memory in leaf.memory:
            if memory.nbytes:
                self.memories.append(memory)
                self.paths.append(path)
            else:
                self.empty.append(Label(path, memory.dtype, memory.shape or (0,)))
        self._nodes.append((node, first, len(self.memories) - first))
        return node

    def settle(self, blocks: list[_Planned]) -> None:
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


class _Planned:
    """One block of the segment to be."""

    def __init__(self, extent: Extent, memories: list[Memory]) -> None:
        self.extent = extent
        self._memories = memories
        first = memories[extent.members[0]]
        self.compact = first.compact if len(extent.members) == 1 else None
        self.nbytes = self.compact.nbytes if self.compact else extent.nbytes

    def offset_of(self, index: int) -> int:
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


def _unique(labels: list[Label]) -> list[Label]:
    """Rename what would clash with another block or with a name that the format reserves."""
    taken: set[str] = set()
    result = []
    for label in labels:
        name = label.name
        if name.startswith(container.RESERVED) or name == container.METADATA:
            name = f"value.{name}"
        stem, count = name, 1
        while name in taken:
            count += 1
            name = f"{stem}#{count}"
        taken.add(name)
        result.append(Label(name, label.dtype, label.shape))
    return result


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
