from __future__ import annotations

import ctypes
import os

import pytest

from onecopy.segments import region
from onecopy.segments.container import Label
from onecopy.tensors import extents
from onecopy.tensors.blocks import ROOT, Block, Gathered
from onecopy.tensors.codec import Compact, Leaf, Memory


def memory(data: bytes, **options: object) -> Memory:
    owner = ctypes.create_string_buffer(data, len(data))
    return Memory(ctypes.addressof(owner), len(data), owner, **options)  # type: ignore[arg-type]


def gathered(*leaves: tuple[str, Leaf]) -> tuple[Gathered, list[list[object]], list[Block]]:
    found = Gathered()
    nodes = [found.place(path, "codec", leaf) for path, leaf in leaves]
    blocks = [Block(each, found.memories) for each in extents.merge(found.memories)]
    found.settle(blocks)
    return found, nodes, blocks


def part(whole: Memory, start: int, nbytes: int) -> Memory:
    return Memory(whole.address + start, nbytes, whole.owner)


def test_leaves_that_share_memory_point_into_one_block() -> None:
    whole = memory(b"0123456789")
    _, nodes, blocks = gathered(
        ("a", Leaf("first", [whole])), ("b", Leaf("second", [part(whole, 4, 3)]))
    )
    assert [each.nbytes for each in blocks] == [10]
    assert [node[3] for node in nodes] == [[0, 0], [0, 4]]


def test_an_empty_leaf_has_no_block() -> None:
    found, nodes, blocks = gathered(("a", Leaf("meta", [Memory(0, 0, None, dtype="F32")])))
    assert (blocks, nodes[0][3]) == ([], [])
    assert found.empty == [Label("a", "F32", (0,))]


def test_a_value_without_a_path_has_a_name() -> None:
    found, _, blocks = gathered(("", Leaf("meta", [memory(b"1234", shape=(4,))])))
    assert blocks[0].label(found.paths) == Label(ROOT, "U8", (4,))


def test_a_block_that_no_tensor_fills_is_bytes() -> None:
    whole = memory(b"0123456789")
    halves = [part(whole, 0, 6), part(whole, 4, 6)]
    found, _, blocks = gathered(("a", Leaf("", halves[:1])), ("b", Leaf("", halves[1:])))
    assert blocks[0].label(found.paths) == Label("a", "U8", (10,))


@pytest.mark.parametrize("shared", [False, True])
def test_only_who_is_alone_in_its_memory_is_stored_compactly(shared: bool) -> None:
    compact = Compact("compact", 5, lambda target: target.__setitem__(slice(None), b"02468"))
    whole = memory(b"0123456789", compact=compact)
    leaves = [("a", Leaf("sparse", [whole]))] + [("b", Leaf("", [part(whole, 1, 1)]))] * shared
    _, nodes, blocks = gathered(*leaves)
    assert nodes[0][2] == ("sparse" if shared else "compact")
    fd = region.create("onecopy-test", 4096)
    try:
        assert sum(blocks[0].write(fd, 64)) == blocks[0].nbytes
        wanted = b"0123456789" if shared else b"02468"
        assert os.pread(fd, blocks[0].nbytes, 64) == wanted
    finally:
        os.close(fd)
