"""An arena's memory in plain Python: for where the C library is missing, or does not fit torch.

Slower, and simpler: every block has whole pages of its own, torch's allocator stays as it is,
and `redirect` moves the results of operations here.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import mmap
import os
import re
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument, LimitReached
from onecopy.native.arenas import Facts
from onecopy.segments.mapping import map_fd
from onecopy.segments.region import PAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.segments.mapping import Mapping

_MAP_FIXED: Final = 0x10
_MAP_NORESERVE: Final = 0x4000
_MAP_FAILED: Final = ctypes.c_void_p(-1).value
_PUNCH_KEEPING_SIZE: Final = 0x03

# States of a page. A kept one was in use when this process forked: the child still reads it. A
# frozen one belongs to an entry, and is private here. Neither is ever used again.
_OPEN, _KEPT, _FROZEN = b"\0", b"\1", b"\2"
_ARE_OPEN: Final = re.compile(b"\0+")
_ARE_SHARED: Final = re.compile(b"[\0\1]+")

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

# Negative ids: they share a table with the C library's.
_ids = itertools.count(-1, -1)

memories: weakref.WeakValueDictionary[int, PlainMemory] = weakref.WeakValueDictionary()


class Block(ctypes.c_ubyte * (1 << 46)):  # type: ignore[misc]  # the base is computed
    """Pages of a memory, given back when the last tensor over them dies; a buffer for torch."""

    __slots__ = ("first", "memory", "pages")
    memory: PlainMemory
    first: int
    pages: int

    def __del__(self) -> None:
        self.memory._give(self.first, self.pages)


class PlainMemory:
    """A mapped memfd from which blocks of pages are taken."""

    def __init__(self, fd: int, readonly: int, nbytes: int) -> None:
        """Take over both descriptors, if it succeeds."""
        self._mapping: Mapping | None = map_fd(fd, nbytes, "shared")
        self._fd, self._readonly = fd, readonly
        self.id = next(_ids)
        self.base, self.nbytes = self._mapping.address, nbytes
        self._lock = threading.RLock()  # A block may die wherever Python collects garbage.
        self._states = bytearray(nbytes // PAGE)
        self._top = 0
        self._free: dict[int, list[int]] = {}
        self._live: dict[int, int] = {}
        self._refused = self._refused_bytes = self._open = 0
        self._held = True
        self._inherited = False
        memories[self.id] = self

    # ---- entering it ----

    def enter(self) -> None:
        """From here on results of this thread's operations are moved here."""
        from onecopy.tensors import redirect

        with self._lock:
            if self._mapping is None:
                raise InvalidArgument("this arena has ended; make another one")
            if self._inherited:
                raise InvalidArgument("this arena is the parent process's; make one here")
            self._open += 1
        redirect.enter(self)

    def leave(self) -> None:
        """End the innermost `enter` of this thread, which must be of this memory."""
        from onecopy.tensors import redirect

        redirect.leave(self)
        with self._lock:
            self._open -= 1
            self._end_if_unused()

    def release(self) -> None:
        """Let it end with its last block; twice is fine."""
        with self._lock:
            self._held = False
            self._end_if_unused()

    def _end_if_unused(self) -> None:
        if self._held or self._open or self._live or self._mapping is None:
            return
        self._mapping = None
        memories.pop(self.id, None)
        if not self._inherited:
            os.close(self._fd)
            os.close(self._readonly)

    # ---- blocks ----

    def allocate(self, nbytes: int) -> Block | None:
        """Return a block of at least `nbytes`, or None if there is no room."""
        pages = max(1, -(-nbytes // PAGE))
        with self._lock:
            first = None if self._inherited else self._take(pages)
            if first is None:
                self._refused += 1
                self._refused_bytes += nbytes
                return None
            self._live[first] = pages
        block: Block = Block.from_address(self.base + first * PAGE)
        block.memory, block.first, block.pages = self, first, pages
        return block

    def _take(self, pages: int) -> int | None:
        reusable = self._free.get(pages)
        if reusable:
            return reusable.pop()
        if self._top + pages > len(self._states):
            return None
        first, self._top = self._top, self._top + pages
        return first

    def _give(self, first: int, pages: int) -> None:
        with self._lock:
            self._live.pop(first)
            # On private pages this drops copies; on shared ones, nothing but their mapping.
            _libc.madvise(self.base + first * PAGE, pages * PAGE, mmap.MADV_DONTNEED)
            for start, stop in self._runs(_ARE_OPEN, first, first + pages):
                _libc.fallocate(self._fd, _PUNCH_KEEPING_SIZE, start * PAGE, (stop - start) * PAGE)
                self._free.setdefault(stop - start, []).append(start)
            self._end_if_unused()

    def facts(self) -> Facts | None:
        """Return what it holds, or None when it has ended."""
        with self._lock:
            if self._mapping is None:
                return None
            return Facts(
                base=self.base,
                nbytes=self.nbytes,
                fd=-1 if self._inherited else self._fd,
                blocks=len(self._live),
                used=sum(self._live.values()) * PAGE,
                warm=0,
                closed=(len(self._states) - self._states.count(_OPEN)) * PAGE,
                refused=self._refused,
                refused_bytes=self._refused_bytes,
                open=self._open,
            )

    # ---- freezing ----

    def offset_of(self, address: int, nbytes: int) -> int | None:
        """Return the offset of bytes that lie clean in this memory, else None."""
        offset = address - self.base
        if offset < 0 or offset + nbytes > self.nbytes or self._inherited:
            return None
        first, end = _pages(offset, nbytes)
        with self._lock:
            return None if self._states.find(_FROZEN, first, end) >= 0 else offset

    def freeze(self, extents: Sequence[tuple[int, int]]) -> bool:
        """Make pages private; False, and nothing changed, if some already are."""
        runs = [_pages(*extent) for extent in extents]
        with self._lock:
            for (first, end), (offset, nbytes) in zip(runs, extents, strict=True):
                if offset < 0 or nbytes < 0 or offset + nbytes > self.nbytes:
                    raise InvalidArgument("these bytes are not in the arena")
                if self._states.find(_FROZEN, first, end) >= 0:
                    return False
            for first, end in runs:
                self._freeze_run(first, end)
        return True

    def tidy(self) -> None:
        """A freeze leaves nothing behind here: it takes the longer for it."""

    def _freeze_run(self, first: int, end: int) -> None:
        # Two extents may share a page, and mapping it again would drop what was written since.
        for start, stop in self._runs(_ARE_SHARED, first, end):
            self._map_private(start, stop)
            self._states[start:stop] = _FROZEN * (stop - start)

    def _runs(self, states: re.Pattern[bytes], first: int, end: int) -> list[tuple[int, int]]:
        """Return the runs of pages in such states."""
        return [match.span() for match in states.finditer(self._states, first, end)]

    def _map_private(self, first: int, end: int) -> None:
        address = _libc.mmap(
            self.base + first * PAGE,
            (end - first) * PAGE,
            mmap.PROT_READ | mmap.PROT_WRITE,
            mmap.MAP_PRIVATE | _MAP_FIXED | _MAP_NORESERVE,
            self._readonly,
            first * PAGE,
        )
        if address == _MAP_FAILED:
            raise LimitReached(
                ctypes.get_errno() or errno.ENOMEM,
                "no memory map is left to freeze pages; raise the sysctl vm.max_map_count",
            )

    # ---- fork ----

    def _before_fork(self) -> None:
        self._lock.acquire()
        if not self._inherited:
            for first, pages in self._live.items():
                for start, stop in self._runs(_ARE_OPEN, first, first + pages):
                    self._states[start:stop] = _KEPT * (stop - start)

    def _after_fork(self) -> None:
        if self._mapping is not None and not self._inherited:
            for start, stop in self._runs(_ARE_SHARED, 0, len(self._states)):
                self._map_private(start, stop)
            self._inherited = True
            os.close(self._fd)
            os.close(self._readonly)
        self._lock.release()


def locate(address: int, nbytes: int) -> tuple[int, int]:
    """Return the id of the memory in which these bytes lie clean and their offset; or 0, 0."""
    for memory in list(memories.values()):
        offset = memory.offset_of(address, nbytes)
        if offset is not None:
            return memory.id, offset
    return 0, 0


def _pages(offset: int, nbytes: int) -> tuple[int, int]:
    first = offset // PAGE
    return first, -(-(offset + nbytes) // PAGE) if nbytes else first


_forking: list[Any] = []


def _before_fork() -> None:
    _forking[:] = list(memories.values())
    for memory in _forking:
        memory._before_fork()


def _after_fork_in_parent() -> None:
    while _forking:
        _forking.pop()._lock.release()


def _after_fork_in_child() -> None:
    while _forking:
        _forking.pop()._after_fork()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=_after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
