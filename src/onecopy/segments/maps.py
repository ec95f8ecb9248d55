"""Which mapping of this process covers an address, and what it maps.

PROCMAP_QUERY (Linux 6.11) asks the kernel for one mapping, in a microsecond; before it, all of
/proc/self/maps is read. Documentation/filesystems/proc.rst of the kernel describes both.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final, NamedTuple

_PROCMAP_QUERY: Final = 0xC0686611
_WRITABLE: Final = 2
_SHARED: Final = 8
_NAME_NBYTES: Final = 4096

_ioctl = ctypes.CDLL(None, use_errno=True).ioctl
_ioctl.argtypes = [ctypes.c_int, ctypes.c_ulong, ctypes.c_void_p]


class Area(NamedTuple):
    """A mapping: where it lies, and what of which file it shows."""

    start: int
    end: int
    offset: int
    """In the file, of its first byte."""
    dev: int
    ino: int
    """0 for memory that belongs to no file."""
    shared: bool
    writable: bool
    path: str


class _Query(ctypes.Structure):
    """`struct procmap_query` of the kernel."""

    _fields_ = (
        *(
            (name, ctypes.c_uint64)
            for name in (
                *("size", "query_flags", "query_addr", "vma_start", "vma_end", "vma_flags"),
                *("vma_page_size", "vma_offset", "inode"),
            )
        ),
        *((name, ctypes.c_uint32) for name in ("major", "minor", "name_size", "build_id_size")),
        *((name, ctypes.c_uint64) for name in ("name_addr", "build_id_addr")),
    )


def at(address: int) -> Area | None:
    """Return the mapping that covers `address`, or None."""
    fd = os.open("/proc/self/maps", os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _ask(fd, address)
    except OSError:
        return _search(fd, address)
    finally:
        os.close(fd)


def _ask(fd: int, address: int) -> Area | None:
    name = ctypes.create_string_buffer(_NAME_NBYTES)
    query = _Query(
        size=ctypes.sizeof(_Query),
        query_addr=address,
        name_size=_NAME_NBYTES,
        name_addr=ctypes.addressof(name),
    )
    if _ioctl(fd, _PROCMAP_QUERY, ctypes.byref(query)) < 0:
        code = ctypes.get_errno()
        if code == errno.ENOENT:
            return None
        raise OSError(code, os.strerror(code))
    return Area(
        start=query.vma_start,
        end=query.vma_end,
        offset=query.vma_offset,
        dev=os.makedev(query.major, query.minor),
        ino=query.inode,
        shared=bool(query.vma_flags & _SHARED),
        writable=bool(query.vma_flags & _WRITABLE),
        path=os.fsdecode(name.value),
    )


def _search(fd: int, address: int) -> Area | None:
    with open(fd, "rb", closefd=False) as file:
        for line in file:
            bounds, access, offset, dev, ino, *path = line.split(maxsplit=5)
            start, end = (int(each, 16) for each in bounds.split(b"-"))
            if start <= address < end:
                major, minor = (int(each, 16) for each in dev.split(b":"))
                return Area(
                    *(start, end, int(offset, 16), os.makedev(major, minor), int(ino)),
                    *(b"s" in access, b"w" in access),
                    os.fsdecode(path[0].rstrip(b"\n")) if path else "",
                )
    return None
