"""Mapping a segment into this process, without keeping its descriptor.

`mmap.mmap` duplicates the descriptor and holds it (before Python 3.13), so a process
with a thousand loaded entries would meet its limit on open files. `Mapping` calls mmap
itself, is the buffer, and unmaps when its last user has gone: tensors, arrays and
memoryviews made over it hold a reference to it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
from typing import TYPE_CHECKING, Final, Literal

from onecopy.errors import InvalidArgument, LimitReached
from onecopy.forks import no_fork

if TYPE_CHECKING:
    from collections.abc import Callable

    _Unmap = Callable[[int, int], int]

Mode = Literal["private", "readonly", "shared"]

_MAP_FIXED: Final = 0x10
_MAP_NORESERVE: Final = 0x4000
_MADV_POPULATE_READ: Final = 22
_MAP_FAILED: Final = ctypes.c_void_p(-1).value

# What each mode asks of mmap. `private` is copy-on-write; NORESERVE because a private
# writable map larger than RAM + swap is refused otherwise, though no page may ever be written.
FLAGS: Final[dict[Mode, tuple[int, int]]] = {
    "private": (mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _MAP_NORESERVE),
    "readonly": (mmap.PROT_READ, mmap.MAP_SHARED),
    "shared": (mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_SHARED),
}
MODES: Final[tuple[Mode, ...]] = ("private", "readonly", "shared")

# ctypes arrays have their length in their type, and making a type costs 10 µs. One type that
# spans the address space serves all mappings; those who take views of it name their length.
_SPAN: Final = 1 << 46

# Through PyDLL a call keeps the interpreter's lock: right for what never takes long, since
# other threads would hold us up for longer than the call itself.
_mmap = ctypes.PyDLL(None, use_errno=True).mmap
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
_libc = ctypes.CDLL(None, use_errno=True)
_munmap = _libc.munmap
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_munmap_small = ctypes.PyDLL(None).munmap
_munmap_small.argtypes = _munmap.argtypes
_madvise = _libc.madvise
_madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


class Mapping(ctypes.c_ubyte * _SPAN):  # type: ignore[misc]  # the base is computed
    """The bytes of one mapped segment; unmapped when the last view of it dies.

    It exports the buffer protocol with an absurd length: take `view()`, or pass it to
    a consumer together with an explicit offset and count.
    """

    __slots__ = ("address", "nbytes")
    address: int
    nbytes: int

    def view(self, offset: int = 0, nbytes: int | None = None) -> memoryview:
        """Return `nbytes` bytes from `offset` as a flat memoryview that keeps the mapping."""
        length = self.nbytes - offset if nbytes is None else nbytes
        if offset < 0 or length < 0 or offset + length > self.nbytes:
            raise InvalidArgument(
                f"bytes {offset} to {offset + length} are outside this mapping of {self.nbytes}"
            )
        exact = (ctypes.c_ubyte * length).from_buffer(self, offset)
        return memoryview(exact).cast("B")

    def populate(self) -> None:
        """Map all pages now, so that the first touch of each does not fault.

        MADV_POPULATE_READ maps without copying, also where MAP_POPULATE on a private
        writable mapping would copy everything. Kernels before 5.14 lack it; that is no error.
        """
        _madvise(self.address, self.nbytes, _MADV_POPULATE_READ)

    def remove(self, offset: int, nbytes: int) -> None:
        """Give whole pages of a shared mapping back to the system: they read as zeros then."""
        if _madvise(self.address + offset, nbytes, mmap.MADV_REMOVE):
            raise OSError(ctypes.get_errno(), f"giving back {nbytes} bytes of a segment failed")

    def __del__(self, small: _Unmap = _munmap_small, large: _Unmap = _munmap) -> None:
        # Defaults, because at the interpreter's exit the module may be empty already.
        (small if self.nbytes < 1 << 20 else large)(self.address, self.nbytes)

    def __repr__(self) -> str:
        return f"<Mapping of {self.nbytes} bytes at {self.address:#x}>"


_at = Mapping.from_address


def map_fd(fd: int, nbytes: int, mode: Mode = "private") -> Mapping:
    """Map the first `nbytes` (at least one) of `fd`; the descriptor may be closed afterwards.

    The caller vouches for the length: reading past the end of a file is SIGBUS.
    """
    protection, flags = FLAGS[mode]
    address = _mmap(None, nbytes, protection, flags, fd, 0)
    if address == _MAP_FAILED:
        raise _map_error(ctypes.get_errno(), nbytes)
    return adopt(address, nbytes)


def adopt(address: int, nbytes: int) -> Mapping:
    """Return the mapping that was made at `address`; it unmaps it."""
    mapping: Mapping = _at(address)
    mapping.address = address
    mapping.nbytes = nbytes
    return mapping


def replace(address: int, nbytes: int, fd: int = -1, offset: int = 0) -> None:
    """Map a part of a mapping anew: to a segment, shared, or without `fd` to zeros of its own.

    Whole pages; views of the mapping stay valid, and see the new bytes from one moment to the next.
    """
    sharing = mmap.MAP_SHARED if fd >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    access = mmap.PROT_READ | mmap.PROT_WRITE
    if _mmap(address, nbytes, access, sharing | _MAP_FIXED, fd, offset) != address:
        raise _map_error(ctypes.get_errno(), nbytes)


def map_to_fill(fd: int, nbytes: int) -> Mapping:
    """Map a segment shared, to fill it; forked children do without this mapping.

    Theirs would keep the segment from being sealed against writing.
    """
    with no_fork:
        mapping = map_fd(fd, nbytes, "shared")
        _madvise(mapping.address, nbytes, mmap.MADV_DONTFORK)
    return mapping


def copy_memory(to: int, address: int, nbytes: int) -> None:
    """Copy bytes of memory that somebody else keeps alive; other threads go on meanwhile."""
    ctypes.memmove(to, address, nbytes)


def memory_at(address: int, nbytes: int) -> memoryview:
    """Return a flat view of memory that somebody else keeps alive."""
    return memoryview((ctypes.c_ubyte * nbytes).from_address(address)).cast("B")


def _map_error(code: int, nbytes: int) -> OSError:
    if code == errno.ENOMEM:
        return LimitReached(
            code,
            f"mapping {nbytes} bytes failed: this process has reached its limit on memory maps "
            "(raise the sysctl vm.max_map_count, or drop loaded tensors) or on address space "
            "(ulimit -v)",
        )
    return OSError(code, f"mapping {nbytes} bytes failed: {os.strerror(code)}")
