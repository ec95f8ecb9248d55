"""Entries whose spec lies about their bytes: a load refuses, and never reads elsewhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch

import onecopy
from onecopy.segments import region
from onecopy.store import messages
from onecopy.tensors import spec as specs
from tests.attacks.patience import rounds
from tests.attacks.raw import RawClient, Segment

NBYTES = 256


@pytest.fixture(scope="module")
def shared_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[onecopy.Store]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECOPY_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))
        with onecopy.start("test", capacity="64MiB") as store:
            yield store


@pytest.fixture
def publish(shared_store: onecopy.Store, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that saves a segment with any spec, and returns the store."""
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(shared_store._connection.place.base))

    def publish(lie: Any, data: bytes = bytes(range(NBYTES)), **changes: Any) -> onecopy.Store:
        packed = lie if isinstance(lie, bytes) else msgspec.msgpack.encode(lie)
        with Segment(data, packed) as segment, RawClient() as raw:
            reply = raw.ask(segment.message("lie", **changes), [segment.fd])
            assert isinstance(reply, messages.Done), reply
        return shared_store

    return publish


def leaf(codec: str, meta: Any, places: Any = (0, 0)) -> list[Any]:
    return [0, codec, meta, list(places)]


def tree(node: Any, blocks: Any = ((0, NBYTES),)) -> list[Any]:
    return [specs.VERSION, [list(block) for block in blocks], node]


def dense(shape: Any, strides: Any = None, dtype: str = "float32", offset: int = 0) -> list[Any]:
    return leaf("torch", [dtype, shape, strides, 0], [0, offset])


def array(shape: Any, strides: Any = None, first: Any = 0, dtype: Any = "<f4") -> list[Any]:
    return leaf("numpy", [0, dtype, shape, strides, first])


def sparse(*components: Any, layout: str = "coo", shape: Any = (3, 3), data: int = 3) -> list[Any]:
    places = [place for number in range(data) for place in (number, 0)]
    return leaf("torch", [layout, list(shape), 0, False, *components], places[: 2 * data])


LIES: dict[str, Any] = {
    # blocks
    "a block behind the end": tree(dense([4]), [(NBYTES, 16)]),
    "a block over the end": tree(dense([4]), [(NBYTES - 8, 16)]),
    "a block before the start": tree(dense([4]), [(-16, 16)]),
    "a block of no bytes": tree(dense([4]), [(0, 0)]),
    "a block of negative size": tree(dense([4]), [(64, -16)]),
    "a block that wraps around": tree(dense([4]), [(2**63, 2**63)]),
    "a huge block": tree(dense([4]), [(0, 2**62)]),
    "no block": tree(dense([4]), []),
    "a block number that is not there": tree(leaf("torch", ["uint8", [1]], [1, 0])),
    "no version": [[], None],
    "a later version": [2, [[0, 16]], dense([4])],
    "another type of version": ["1", [[0, 16]], dense([4])],
    "nothing at all": b"",
    "half a spec": msgspec.msgpack.encode(tree(dense([4])))[:-3],
    "bytes behind the spec": msgspec.msgpack.encode(tree(dense([4]))) + b"\0",
    "deep nesting": b"\x93\x01\x90" + b"\x92\x01" * 100_000 + b"\xc0",
    # trees
    "an unknown node": tree([17, 1, 2]),
    "an empty node": tree([]),
    "an unknown codec": tree(leaf("nobody's", [])),
    "a codec that is no name": tree([0, 7, [], []]),
    "a leaf without places": tree([0, "torch", ["float32", [4]]]),
    "a key that cannot be one": tree([3, [1, 1, 2], "value"]),
    "a dict without its last value": tree([3, "a", 1, "b"]),
    "an integer of no digits": tree([5, "many"]),
    "an integer of too many digits": tree([5, "9" * 5000]),
    # dense tensors
    "an unknown dtype": tree(dense([4], dtype="float7")),
    "a shape over the end": tree(dense([NBYTES // 4 + 1])),
    "a huge shape": tree(dense([2**62, 2**62])),
    "a shape that wraps around": tree(dense([2**32, 2**32])),
    "a negative shape": tree(dense([-4])),
    "two negative sizes": tree(dense([-8, -8])),
    "a shape of strings": tree(dense(["4"])),
    "a shape that is a number": tree(dense(4)),
    "a size of one half": tree(dense([0.5])),
    "strides over the end": tree(dense([2, 2], [64, 1])),
    "strides that wrap around": tree(dense([2**32 + 1], [2**32])),
    "negative strides": tree(dense([4], [-1])),
    "too few strides": tree(dense([2, 2], [1])),
    "an offset over the end": tree(dense([1], offset=NBYTES)),
    "a negative offset": tree(dense([1], offset=-4)),
    "a huge offset": tree(dense([1], offset=2**63 - 4)),
    "an odd offset": tree(dense([1], offset=2)),
    "an odd block": tree(dense([1]), [(2, 16)]),
    "a complex tensor at an odd address": tree(dense([2], dtype="complex128"), [(8, 32)]),
    "gradients of integers": tree(leaf("torch", ["int64", [1], None, 2])),
    "places in threes": tree(leaf("torch", ["float32", [1]], [0, 0, 0])),
    "elements without a place": tree(leaf("torch", ["float32", [1]], [])),
    # sparse tensors
    "an index out of range": tree(
        sparse(["int64", [2, 1]], ["float32", [1]], data=2), [(200, 16), (0, 4)]
    ),
    "an index that repeats": tree(
        sparse(["int64", [2, 2**40], [0, 0], 0], ["float32", [2**40], [0], 0], data=2),
        [(0, 8), (0, 8)],
    ),
    "too few components": tree(sparse(["int64", [2, 1]], data=1)),
    "too many components": tree(sparse(*[["int64", [1]]] * 5, data=3), [(0, 8)] * 3),
    "rows that go backwards": tree(
        sparse(["int64", [4]], ["int64", [1]], ["float32", [1]], layout="csr"),
        [(0, 32), (32, 8), (64, 4)],
    ),
    "a sparse tensor of negative shape": tree(
        sparse(["int64", [2, 1]], ["float32", [1]], data=2, shape=(-1, 3)), [(0, 16), (16, 4)]
    ),
    # arrays
    "an array over the end": tree(array([NBYTES // 4 + 1])),
    "an array before the start": tree(array([1], first=-4)),
    "an array far before the start": tree(array([1], first=-(2**40))),
    "an array that begins far behind": tree(array([1], first=2**63 - 1)),
    "an array of negative size": tree(array([-1])),
    "array strides over the end": tree(array([2], [NBYTES])),
    "array strides before the start": tree(array([2], [-4])),
    "array strides that wrap around": tree(array([2**32 + 1], [2**32], dtype="|u1")),
    "array strides that wrap around in sum": tree(array([2**33 + 1, 2], [2**31, 1], dtype="|u1")),
    "an array of objects": tree(array([4], dtype="|O")),
    "records with an object": tree(array([4], dtype=[["a", "<i4"], ["b", "|O"]])),
    "objects by another name": tree(array([4], dtype="object")),
    "a dtype that is none": tree(array([4], dtype="<nonsense")),
    "a dtype that is a number": tree(array([4], dtype=7)),
    "a dtype of too many": tree(array([1], dtype=["<f4", [2**31, 2**31]])),
    "elements of no size": tree(array([2**40], dtype="|S0")),
    "a foreign dtype that is none": tree(array([4], dtype="ml_dtypes.nothing")),
    "a foreign dtype that is a function": tree(array([4], dtype="ml_dtypes.finfo")),
    # buffers
    "a buffer over the end": tree(leaf("buffer", ["B", [NBYTES + 1]])),
    "a buffer of negative size": tree(leaf("buffer", ["B", [-1]])),
    "a buffer of two negative sizes": tree(leaf("buffer", ["B", [-4, -4]])),
    "a buffer of pointers": tree(leaf("buffer", ["P", [1]])),
    "a format that is none": tree(leaf("buffer", ["zz", [1]])),
    "a format of great size": tree(leaf("buffer", ["9" * 30 + "x", [1]])),
    "dlpack within dlpack": tree(leaf("dlpack", ["dlpack", ["dlpack", ["nobody", []]]])),
}


@pytest.mark.parametrize("lie", LIES)
@pytest.mark.parametrize("inline", [True, False], ids=["in the index", "in the segment"])
def test_a_lie_is_refused(publish: Any, lie: str, inline: bool) -> None:
    spec = LIES[lie]
    packed = spec if isinstance(spec, bytes) else msgspec.msgpack.encode(spec)
    short = packed if inline and len(packed) < 300 else b""
    store = publish(packed, spec=short)
    for mode in ("private", "readonly"):
        with pytest.raises(
            (onecopy.CorruptEntry, onecopy.InvalidArgument, onecopy.UnsupportedValue)
        ):
            store.load("lie", mode=mode)


def test_the_same_specs_work_when_they_tell_the_truth(publish: Any) -> None:
    """Else the lies above would be refused for something else."""
    data = np.frombuffer(bytes(range(NBYTES)), "<f4")
    for node in (dense([64]), dense([4], [2]), array([64]), array([4], [-4], 12)):
        value = publish(tree(node)).load("lie")
        assert np.asarray(value).view("<u4")[0] in data.view("<u4")[:4]
    indices = (0).to_bytes(8, "little") + (2).to_bytes(8, "little") + bytes(NBYTES - 16)
    node = sparse(["int64", [2, 1]], ["float32", [1]], data=2)
    value = publish(tree(node, [(0, 16), (16, 4)]), data=indices).load("lie")
    assert value.to_dense().shape == (3, 3)
    assert bytes(publish(tree(leaf("buffer", ["B", [NBYTES]]))).load("lie")) == bytes(range(NBYTES))


def test_blocks_that_overlap_are_views_of_the_same_bytes(publish: Any) -> None:
    node = [1, leaf("torch", ["uint8", [8]], [0, 0]), leaf("torch", ["uint8", [8]], [1, 0])]
    first, second = publish(tree(node, [(0, 8), (4, 8)])).load("lie")
    assert first.tolist() == list(range(8))
    assert second.tolist() == list(range(4, 12))


def test_a_repeated_element_costs_nothing_until_it_is_touched(publish: Any) -> None:
    value = publish(tree(dense([2**40], [0]))).load("lie")
    assert value.shape == (2**40,)
    assert torch.equal(value[-1], value[0])


def test_a_spec_that_changes_under_a_reader_crashes_nobody(
    publish: Any, shared_store: onecopy.Store
) -> None:
    """A mutable entry's spec lies in memory that others may write."""
    packed = msgspec.msgpack.encode(tree([1, *[dense([4])] * 200]))
    with Segment(bytes(NBYTES), packed, mutable=True) as segment, RawClient() as raw:
        raw.ask(segment.message("lie"), [segment.fd])
        assert len(shared_store.load("lie")) == 200
        region.write(segment.fd, [b"\xff" * len(packed)], segment.spec_offset)
        with onecopy.connect("test") as other, pytest.raises(onecopy.CorruptEntry):
            other.load("lie")


def test_thousands_of_mutated_specs_crash_nobody() -> None:
    program = [sys.executable, "-W", "ignore", "-m", "tests.attacks.mutations"]
    done = subprocess.run(
        [*program, "7", str(rounds(250))],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts = msgspec.json.decode(done.stdout)
    assert min(counts.values()) > 100
