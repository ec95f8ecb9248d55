"""A guest's linear memory: where it is, how it grows, and which part of it is the host's.

The host grows the memory for what it maps, so the guest's own memory stays in one piece below the
first of these regions (or around them, if it grows later). Memory never shrinks: what is released
is kept for the next region of that size or smaller.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidArgument, InvalidModule, WindowRefused

if TYPE_CHECKING:
    import wasmtime

WASM_PAGE: Final = 65536
"""What memory grows by; the ABI of Wasm has no smaller unit."""
PAGE: Final = 4096
"""What windows are aligned to: the kernel's page on the machines that onecopy supports."""

_LIMIT: Final = 1 << 32
_TABLE_LIMIT: Final = 20_000


def limit_store(store: wasmtime.Store, nbytes: int) -> None:
    """Limit what a store may allocate: one instance, with so much memory and small tables."""
    store.set_limits(
        memory_size=nbytes, table_elements=_TABLE_LIMIT, instances=1, tables=16, memories=1
    )


class LinearMemory:
    """The exported memory of one instance."""

    def __init__(self, store: wasmtime.Store, memory: wasmtime.Memory, limit: int) -> None:
        self._store = store
        self._memory = memory
        self._limit = limit
        self._free: list[tuple[int, int]] = []
        self.reserved = 0
        """Bytes that the host has grown it by: regions in use, and released ones."""
        self.base = ctypes.cast(memory.data_ptr(store), ctypes.c_void_p).value or 0

    @property
    def nbytes(self) -> int:
        """How large it is now; only ever more."""
        return self._memory.data_len(self._store)

    @property
    def own_nbytes(self) -> int:
        """What the guest has for itself, touched or not."""
        return self.nbytes - self.reserved

    def reserve(self, nbytes: int) -> int:
        """Return the address, within the memory, of a region that only the host hands out.

        Raises:
            WindowRefused: the memory cannot grow by so much.
        """
        needed = region(nbytes)
        fitting = [each for each in self._free if each[1] >= needed]
        if not fitting:
            return self._grow(needed)
        address, room = best = min(fitting, key=lambda each: each[1])
        self._free.remove(best)
        if room > needed:
            self._free.append((address + needed, room - needed))
        return address

    def release(self, address: int, nbytes: int) -> None:
        """Give a region back; what lies there must be plain memory again."""
        start, end = address, address + region(nbytes)
        for free in list(self._free):
            if free[0] + free[1] == start:
                start = free[0]
                self._free.remove(free)
            elif free[0] == end:
                end = free[0] + free[1]
                self._free.remove(free)
        self._free.append((start, end - start))

    def released(self) -> list[tuple[int, int]]:
        """Return the regions that nobody uses: the guest can write there, and must not keep it."""
        return list(self._free)

    def _grow(self, nbytes: int) -> int:
        import wasmtime

        address = self.nbytes
        if address + nbytes > _LIMIT:
            raise WindowRefused(
                f"a guest's memory ends at 4 GiB: it has {address} bytes, and {nbytes} more do "
                "not fit; give it slices of the tensor, or a stream"
            )
        self.allow(nbytes)
        try:
            self._memory.grow(self._store, nbytes // WASM_PAGE)
        except wasmtime.WasmtimeError as error:
            self.allow(0)
            raise WindowRefused(
                f"the guest's memory cannot grow by {nbytes} bytes for a window: {error}; build "
                "it without a maximum (no --max-memory)"
            ) from None
        self.reserved += nbytes
        if ctypes.cast(self._memory.data_ptr(self._store), ctypes.c_void_p).value != self.base:
            raise InvalidModule("the guest's memory moved; windows need an engine of this package")
        return address

    def take_layout(self, other: LinearMemory) -> None:
        """Become as large as another instance of the module, with the same regions."""
        self.reserved = other.reserved
        self._free = list(other._free)
        self.allow(0)
        self._memory.grow(self._store, (other.nbytes - self.nbytes) // WASM_PAGE)

    def allow(self, more: int) -> None:
        """Set what it may grow to: the guest's limit, and what is the host's (plus `more`)."""
        limit_store(self._store, self._limit + self.reserved + more)

    def pointer(self, address: int, nbytes: int) -> int:
        """Return where bytes of the guest lie in this process.

        Raises:
            InvalidArgument: they are not all inside its memory.
        """
        if nbytes < 0 or address < 0 or address + nbytes > self.nbytes:
            raise InvalidArgument(
                f"bytes {address} to {address + nbytes} are outside the guest's memory of "
                f"{self.nbytes}"
            )
        return self.base + address

    def view(self, address: int, nbytes: int) -> memoryview:
        """Return a writable view of bytes of the guest; it must not outlive the guest."""
        pointer = self.pointer(address, nbytes)
        return memoryview((ctypes.c_ubyte * nbytes).from_address(pointer)).cast("B")

    def read(self, address: int, nbytes: int) -> bytes:
        """Return a copy of bytes of the guest."""
        return ctypes.string_at(self.pointer(address, nbytes), nbytes)

    def write(self, address: int, data: bytes | memoryview) -> None:
        """Copy bytes into the guest."""
        ctypes.memmove(self.pointer(address, len(data)), bytes(data), len(data))


def _round_up(nbytes: int, unit: int) -> int:
    return -(-nbytes // unit) * unit


def region(nbytes: int) -> int:
    """Return how long a region is that was reserved for `nbytes`."""
    return _round_up(max(nbytes, 1), WASM_PAGE)


def pages(nbytes: int) -> int:
    """Return `nbytes` rounded up to whole pages."""
    return _round_up(nbytes, PAGE)
