"""Streams: ranges of tensors that a guest copies into and out of its memory.

For what does not fit windows: tensors beyond 4 GiB, or a few pieces of a large one. Each byte is
copied once, by the kernel, between the segment and the guest's memory: what is wrong with an
address there is an error code, never a fault.

A guest copies single ranges with `read` and `write`, or registers parts of its memory, submits
many transfers between them and its streams, and has them made by `complete`. What one host call
may copy is limited, since the guest's deadline does not end it meanwhile.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.errors import InvalidArgument
from onecopy.guests.wasm import abi

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.guests.wasm.memory import LinearMemory
    from onecopy.guests.windows.source import Source

STREAM_FUNCTIONS: Final = frozenset(
    {"stream_size", "read", "write", "register_range", "submit", "complete"}
)

MOVE_LIMIT: Final = 64 << 20
"""The bytes that one host call moves at most."""
RANGE_LIMIT: Final = 256
PENDING_LIMIT: Final = 1024

_TRANSFER: Final = struct.Struct("<IIQIIiI")
_DONE: Final = struct.Struct("<i")
_DONE_AT: Final = 24

_libc = ctypes.CDLL(None, use_errno=True)
_pread = _libc.pread
_pwrite = _libc.pwrite
for _each in (_pread, _pwrite):
    _each.restype = ctypes.c_ssize_t
    _each.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long]


class _Transfer(NamedTuple):
    """One that was submitted: the copy of `struct oc_transfer` that is checked and used."""

    done_at: int
    stream: int
    write: int
    offset: int
    address: int
    nbytes: int


class Streams:
    """The streams of one guest; every method takes what the guest gave, unsigned and unchecked.

    The sources stay open as long as the guest lives; whoever made them closes them.
    """

    def __init__(self, sources: Sequence[Source] = ()) -> None:
        self._sources = list(sources)
        self._ranges: list[tuple[int, int]] = []
        self._pending: deque[_Transfer] = deque()
        self._pending_nbytes = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._sources)

    def stream_size(self, stream: int) -> int:
        """Return the bytes of a stream, or `HANDLE`."""
        return self._sources[stream].nbytes if stream < len(self._sources) else abi.HANDLE

    def read(
        self, memory: LinearMemory, stream: int, offset: int, address: int, nbytes: int
    ) -> int:
        """Copy a range into memory; return the bytes that there were, fewer at the end."""
        if stream >= len(self._sources):
            return abi.HANDLE
        source = self._sources[stream]
        if not 0 <= offset <= source.nbytes:
            return abi.RANGE
        nbytes = min(nbytes, source.nbytes - offset)
        return _move(_pread, memory, source, offset, address, nbytes)

    def write(
        self, memory: LinearMemory, stream: int, offset: int, address: int, nbytes: int
    ) -> int:
        """Copy memory into a range, all of it or nothing; return the bytes."""
        if stream >= len(self._sources):
            return abi.HANDLE
        source = self._sources[stream]
        if not source.writable:
            return abi.DENIED
        if not 0 <= offset <= offset + nbytes <= source.nbytes:
            return abi.RANGE
        return _move(_pwrite, memory, source, offset, address, nbytes)

    def register_range(self, memory: LinearMemory, address: int, nbytes: int) -> int:
        """Register memory for transfers; return its number."""
        if nbytes == 0:
            return abi.INVALID
        if address + nbytes > memory.nbytes:
            return abi.RANGE
        if len(self._ranges) == RANGE_LIMIT:
            return abi.LIMIT
        self._ranges.append((address, address + nbytes))
        return len(self._ranges) - 1

    def submit(self, memory: LinearMemory, address: int, count: int) -> int:
        """Take transfers, as many as there is room for; return how many."""
        room = min(count, PENDING_LIMIT - len(self._pending))
        try:
            memory.pointer(address, count * _TRANSFER.size)
            # Copied once: what the guest writes there later changes nothing.
            given = memory.read(address, room * _TRANSFER.size)
        except InvalidArgument:
            return abi.RANGE
        if count and not room:
            return abi.LIMIT
        taken = 0
        for fields in _TRANSFER.iter_unpack(given):
            each = _Transfer(address + taken * _TRANSFER.size + _DONE_AT, *fields[:5])
            if self._pending and self._pending_nbytes + each.nbytes > MOVE_LIMIT:
                break
            self._pending.append(each)
            self._pending_nbytes += each.nbytes
            taken += 1
        return taken

    def complete(self, memory: LinearMemory, least: int) -> int:
        """Make all transfers that were submitted; return how many, or `INVALID` if too few."""
        if least > len(self._pending):
            return abi.INVALID
        count = len(self._pending)
        for each in self._pending:
            memory.write(each.done_at, _DONE.pack(self._make(memory, each)))
        self._pending.clear()
        self._pending_nbytes = 0
        return count

    def _make(self, memory: LinearMemory, each: _Transfer) -> int:
        end = each.address + each.nbytes
        if not any(first <= each.address and end <= last for first, last in self._ranges):
            return abi.RANGE
        move = self.write if each.write else self.read
        return move(memory, each.stream, each.offset, each.address, each.nbytes)


def _move(
    move: Callable[[int, int, int, int], int],
    memory: LinearMemory,
    source: Source,
    offset: int,
    address: int,
    nbytes: int,
) -> int:
    """Copy between a segment and memory; return the bytes, or an error."""
    if nbytes > MOVE_LIMIT:
        return abi.LIMIT
    try:
        pointer = memory.pointer(address, nbytes)
    except InvalidArgument:
        return abi.RANGE
    start = source.offset + source.lead + offset
    moved = move(source.fd, pointer, nbytes, start)
    if moved >= 0:
        return moved
    return abi.RANGE if ctypes.get_errno() == errno.EFAULT else abi.DENIED
