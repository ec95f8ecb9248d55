"""Specs that lie, decoded by the thousand: run it in a process of its own, for it may crash.

    python -m tests.attacks.mutations SEED ROUNDS

The bytes of the segment lie beside a page that cannot be touched, so that a view which
reaches outside ends this process.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import sys
from typing import Any

import msgspec
import numpy as np
import torch

import onecopy
from onecopy.segments import region
from onecopy.segments.mapping import Mapping
from onecopy.tensors import spec as specs
from onecopy.tensors.values import Packed, unpack

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
PAGE = mmap.PAGESIZE


def guarded(data: bytes, *, at_end: bool) -> Mapping:
    """Return a mapping with `data` right before, or behind, a page that cannot be touched."""
    pages = -(-len(data) // PAGE)
    span = (pages + 2) * PAGE
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    start = _libc.mmap(None, span, 0, flags, -1, 0)
    writable = mmap.PROT_READ | mmap.PROT_WRITE
    assert _libc.mprotect(ctypes.c_void_p(start + PAGE), pages * PAGE, writable) == 0
    # As large elements are aligned, so is the end of the data: its size is a multiple of 64.
    address = start + PAGE + (pages * PAGE - len(data)) * at_end
    ctypes.memmove(address, data, len(data))
    mapping: Mapping = Mapping.from_address(address)
    mapping.address, mapping.nbytes = start, span
    return mapping


def samples() -> list[Any]:
    """Return values of all kinds whose specs get mutated."""
    base = torch.arange(64, dtype=torch.float32)
    sparse = torch.sparse_coo_tensor(torch.tensor([[0, 1], [1, 0]]), torch.ones(2), (3, 3))
    array = np.arange(24, dtype="<i4").reshape(2, 3, 4)
    record = np.zeros(3, dtype=[("a", "<i4"), ("b", "<f8", (2,)), ("c", "S5")])
    return [
        torch.ones(4, 4),
        {"a": base, "b": base[3:9], "c": base.view(8, 8).t(), "n": None, "f": 1.5, "i": 2**80},
        [sparse, sparse.coalesce(), torch.eye(3).to_sparse_csr()],
        (array[:, ::-1], array.transpose(), np.float64(3), np.array("text")),
        [record, np.array(["a", "bc"]), np.zeros(2, "<M8[s]"), np.zeros((0, 3))],
        [b"some bytes", memoryview(bytes(24)).cast("d"), torch.nn.Parameter(torch.ones(3))],
        {1: torch.zeros(2, dtype=torch.bfloat16), None: torch.zeros(2, dtype=torch.complex128)},
    ]


NUMBERS = [
    0,
    1,
    2,
    3,
    7,
    8,
    63,
    64,
    65,
    -1,
    -2,
    -8,
    2**31,
    2**32,
    2**32 + 1,
    2**33 + 1,
    2**40,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**31),
    -(2**32),
    -(2**62),
    -(2**63),
]
WORDS = [
    "torch",
    "numpy",
    "buffer",
    "dlpack",
    "nobody",
    "float32",
    "int64",
    "complex128",
    "bool",
    "coo",
    "csr",
    "csc",
    "bsr",
    "bsc",
    "O",
    "|O",
    "object",
    "<i8",
    "|V0",
    "|S0",
    "S",
    "U",
    "V9999999999",
    "i4,O",
    "ml_dtypes.bfloat16",
    "ml_dtypes.finfo",
    "ml_dtypes.nothing",
    "c16",
    "(2,3)f4",
    "B",
    "d",
    "P",
    "zz",
    "99999999999x",
    "",
    "\0",
]
OTHERS: list[Any] = [
    None,
    True,
    False,
    0.5,
    float("nan"),
    float("inf"),
    b"",
    b"bytes",
    [],
    [0],
    [[]],
    {},
    {"a": 1},
    [0, "torch", ["float32", [1]], [0, 0]],
    [["a", "O"]],
    [["a", "<i4", [2, 2]], ["a", "<i4"]],
    ["<f4", [2**31, 2**31]],
]


def mutate(node: Any, luck: random.Random) -> Any:
    """Return `node` with one place in it replaced by something else."""
    if isinstance(node, list) and node and luck.random() < 0.93:
        copy = list(node)
        where = luck.randrange(len(copy))
        action = luck.random()
        if action < 0.05:
            del copy[where]
        elif action < 0.1:
            copy.insert(where, luck.choice(copy))
        elif action < 0.15:
            copy[where] = luck.choice(copy)
        else:
            copy[where] = mutate(copy[where], luck)
        return copy
    pool: list[Any] = luck.choice([NUMBERS, NUMBERS, WORDS, OTHERS])
    if isinstance(node, int) and luck.random() < 0.3:
        return node + luck.choice([-64, -8, -1, 1, 8, 64])
    return luck.choice(pool)


def flip(packed: bytes, luck: random.Random) -> bytes:
    """Return `packed` with a few bytes changed."""
    data = bytearray(packed)
    for _ in range(luck.randint(1, 4)):
        data[luck.randrange(len(data))] = luck.randrange(256)
    return bytes(data)


def touch(value: Any) -> None:
    """Read a value's first and last elements, and all if they are few."""
    if isinstance(value, torch.Tensor):
        _touch_tensor(value)
    elif isinstance(value, (np.ndarray, np.generic)):
        _touch_array(np.asarray(value))
    elif isinstance(value, memoryview):
        bytes(value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            touch(item)
    elif isinstance(value, dict):
        for item in value.values():
            touch(item)


def _touch_tensor(value: torch.Tensor) -> None:
    if value.layout is not torch.strided:
        parts = (
            [value._indices(), value._values()]
            if value.layout is torch.sparse_coo
            else [value.values()]
        )
        for part in parts:
            _touch_tensor(part)
        if value.numel() < 10_000 and value.dtype == torch.float32:
            value.to_dense()
    elif value.numel():
        corner = value.detach()
        for size in value.shape:
            corner = corner[size - 1]
        corner.clone()
        if value.numel() < 10_000:
            value.detach().clone()


def _touch_array(value: Any) -> None:
    if value.size and value.ndim:
        # Slices, for a single item of garbage may be no valid str.
        value[tuple(slice(0, 1) for _ in value.shape)].copy()
        value[tuple(slice(size - 1, size) for size in value.shape)].copy()
        if value.size < 10_000:
            value.copy()


def attempt(mapping: Mapping, packed: bytes, room: int, mode: Any) -> bool:
    """Decode a spec and touch what it gives; say whether it gave anything."""
    try:
        value = unpack(mapping, 0, specs.decode(packed, room), mode)
    except onecopy.OnecopyError:
        return False
    touch(value)
    return True


def play(seed: int, rounds: int) -> dict[str, int]:
    """Mutate specs and count what became of them."""
    luck = random.Random(seed)
    counts = {"built": 0, "refused": 0}
    for value in samples():
        packed = Packed(value, 64)
        data = b"".join(_data(packed))
        data += bytes(-len(data) % 64)
        mappings = [guarded(data, at_end=at_end) for at_end in (False, True)]
        assert all(attempt(each, packed.spec, len(data), "private") for each in mappings)
        spec = msgspec.msgpack.decode(packed.spec)
        for turn in range(rounds):
            hostile = _hostile(spec, packed.spec, luck, turn)
            # Printed last, it tells which one crashed.
            print(hostile.hex(), file=sys.stderr)
            mode = luck.choice(["private", "readonly"])
            built = attempt(mappings[turn % 2], hostile, len(data), mode)
            counts["built" if built else "refused"] += 1
    return counts


def _hostile(spec: list[Any], packed: bytes, luck: random.Random, turn: int) -> bytes:
    if turn % 4 == 0:
        return flip(packed, luck)
    version, blocks, tree = spec
    for _ in range(luck.choice([1, 1, 1, 2, 3])):
        if luck.random() < 0.8:
            tree = mutate(tree, luck)
        else:
            blocks = mutate(blocks, luck)
    lie = [version, blocks, tree] if luck.random() < 0.98 else mutate(spec, luck)
    try:
        return msgspec.msgpack.encode(lie)
    except OverflowError:
        return packed


def _data(packed: Packed) -> list[bytes]:
    """Return the data part of a packed value's file."""
    fd = region.create("sample")
    try:
        packed.write(fd)
        return [os.pread(fd, packed.spec_offset - packed.data_start, packed.data_start)]
    finally:
        os.close(fd)


if __name__ == "__main__":
    print(msgspec.json.encode(play(int(sys.argv[1]), int(sys.argv[2]))).decode())
