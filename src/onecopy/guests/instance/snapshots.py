"""A guest's state, saved and restored: its memory and its mutable globals.

Only pages that the guest has written are saved; the others are as its module made them. What
belongs to the host, windows and the control page, is left alone. Memory that has grown since stays
grown, with zeros in it: Wasm cannot shrink it. Tables cannot be saved; compilers do not write them.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.guests.windows.pagemap import page_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.guests.instance.guest import Instance

_PIECE: Final = 1 << 16
_MADV_DONTNEED: Final = 4

# With the interpreter's lock: what is copied here takes less time than to get it back.
_libc = ctypes.PyDLL(None)
_memmove = _libc.memmove
_memmove.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
_memmove.restype = None
_memcmp = _libc.memcmp
_memcmp.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
_madvise = _libc.madvise
_madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]

Range = tuple[int, int]


class State(NamedTuple):
    """What a guest's memory and globals were; states share what did not change between them."""

    pieces: tuple[tuple[int, bytes], ...]
    """Addresses and bytes: whole pages, none across a multiple of 64 KiB."""
    globals: tuple[int, ...]
    nbytes: int
    """Of all pieces."""
    fresh: int
    """Of those that it does not share with the state before it."""


class Snapshots:
    """Saves and restores one instance; it must not be running."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._globals = Globals(instance)
        self._layout = (0, 0)
        self._own: list[Range] = []

    def save(self, last: State | None = None) -> State:
        """Return the state as it is now, sharing with `last` what is the same."""
        known = dict(last.pieces) if last else {}
        base = self._instance.memory.base
        pieces = []
        nbytes = shared = 0
        for first, end in self._written():
            start = first
            while start < end:
                cut = min(end, (start | _PIECE - 1) + 1)
                before = known.get(start)
                data = _piece(base + start, cut - start, before)
                pieces.append((start, data))
                nbytes += len(data)
                shared += len(data) if data is before else 0
                start = cut
        return State(tuple(pieces), self._globals.read(), nbytes, nbytes - shared)

    def restore(self, state: State) -> None:
        """Go back to a state of this instance, or take that of another one of its module."""
        base = self._instance.memory.base
        for first, end in self._written():
            for start, nbytes in _gaps(first, end, state.pieces):
                # As the module made it: zeros, or its data.
                _madvise(base + start, nbytes, _MADV_DONTNEED)
        for address, data in state.pieces:
            _memmove(base + address, data, len(data))
        self._globals.write(state.globals)

    def _written(self) -> list[Range]:
        """Return the ranges of addresses that the guest has written to, in pages."""
        own = self._own_ranges()
        scanner = page_map()
        if scanner is None:
            return own
        base = self._instance.memory.base
        return [
            (first - base, end - base)
            for start, stop in own
            for first, end in scanner.private(base + start, base + stop)
        ]

    def _own_ranges(self) -> list[Range]:
        layout = (self._instance.memory.nbytes, self._instance.control.generation)
        if layout != self._layout:
            self._layout = layout
            self._own = list(_between(self._instance.host_regions(), layout[0]))
        return self._own


def _piece(pointer: int, nbytes: int, known: bytes | None) -> bytes:
    if known is not None and len(known) == nbytes and not _memcmp(pointer, known, nbytes):
        return known
    return ctypes.string_at(pointer, nbytes)


def _gaps(start: int, end: int, pieces: tuple[tuple[int, bytes], ...]) -> Iterator[Range]:
    """Return starts and lengths of what no piece covers; pieces are in order."""
    for address, data in pieces:
        if address >= end:
            break
        if address > start:
            yield start, address - start
        start = max(start, address + len(data))
    if start < end:
        yield start, end - start


def _between(regions: list[Range], nbytes: int) -> Iterator[Range]:
    """Return what lies between regions (address, length) of a memory."""
    start = 0
    for address, length in sorted(regions):
        if address > start:
            yield start, address
        start = address + length
    if start < nbytes:
        yield start, nbytes


class Globals:
    """An instance's mutable globals (binary.py exports them), by prepared calls."""

    def __init__(self, instance: Instance) -> None:
        from wasmtime import _ffi

        store, globals_ = instance.mutable_globals()
        context = ctypes.cast(store._context(), ctypes.c_void_p)
        pointer = ctypes.c_void_p
        get = ctypes.PYFUNCTYPE(None, pointer, pointer, pointer)
        put = ctypes.PYFUNCTYPE(pointer, pointer, pointer, pointer)
        self._get = get(_address(_ffi.dll.wasmtime_global_get))
        self._set = put(_address(_ffi.dll.wasmtime_global_set))
        self._kept = [(each._global, _ffi.wasmtime_val_t()) for each in globals_]
        self._calls = [
            (context, ctypes.addressof(where), ctypes.addressof(value))
            for where, value in self._kept
        ]
        offset = _ffi.wasmtime_val_t.of.offset
        self._bits = [
            ctypes.c_uint64.from_address(ctypes.addressof(value) + offset)
            for _, value in self._kept
        ]
        for call in self._calls:
            self._get(*call)  # their kinds stay in the values

    def read(self) -> tuple[int, ...]:
        """Return their bits."""
        for call in self._calls:
            self._get(*call)
        return tuple([each.value for each in self._bits])

    def write(self, values: tuple[int, ...]) -> None:
        """Set them to bits that `read` returned."""
        for call, cell, value in zip(self._calls, self._bits, values, strict=True):
            cell.value = value
            self._set(*call)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0
