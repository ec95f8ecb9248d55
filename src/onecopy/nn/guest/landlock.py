"""Which files this process can reach, as the kernel enforces it: those below some folders.

wasmtime's WASI confines guests already; this holds for the process, whatever its code does. The
interface: the kernel's documentation, userspace-api/landlock.
"""

from __future__ import annotations

import ctypes
import functools
import os
import stat
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_VERSION: Final = 1
_BENEATH: Final = 1
_NO_NEW_PRIVS: Final = 38

_EXECUTE: Final = 1 << 0
_READ: Final = 1 << 2 | 1 << 3
_MAKE_SPECIAL: Final = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11  # devices, sockets, pipes
_USE_DEVICE: Final = 1 << 15
_OF_FILES: Final = 0b111 | 1 << 14 | _USE_DEVICE  # what a rule for a single file may give
# Of files: how many rights each version of the interface knows, and those after the last one.
_KNOWN: Final = (0, 13, 14, 15, 15)
_LATEST: Final = 16
_TCP: Final = 0b11
_SCOPED: Final = 0b11  # abstract sockets, signals


def version() -> int:
    """Return the version of the kernel's interface, or 0 if it has none."""
    return max(_syscall(_CREATE, None, 0, _VERSION), 0)


def confine(folders: Iterable[tuple[int, bool]]) -> str:
    """Let this thread, and those that it starts, reach files below some folders only.

    Args:
        folders: a descriptor of each (or of a file), and whether what is there may be changed.

    Returns:
        Empty, or why nothing was confined.
    """
    known = version()
    if not known:
        return "this kernel has no Landlock (Linux 5.13 or later, with it among its LSMs)"
    rights = (1 << (_KNOWN[known] if known < len(_KNOWN) else _LATEST)) - 1
    ruleset = _create(rights, known)
    try:
        for fd, writable in folders:
            _allow(ruleset, fd, rights & _of(writable))
        # Without privileges, the kernel asks for this first.
        _libc().prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
        if _syscall(_RESTRICT, ruleset, 0):
            return f"Landlock: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(ruleset)
    return ""


def _of(writable: bool) -> int:
    return ~(_EXECUTE | _MAKE_SPECIAL | _USE_DEVICE) if writable else _READ


def _create(rights: int, known: int) -> int:
    # The kernel takes a shorter record from who knows less of it.
    words = [rights, *[_TCP] * (known >= 4), *[_SCOPED] * (known >= 6)]
    record = struct.pack(f"@{len(words)}Q", *words)
    fd = _syscall(_CREATE, record, len(record), 0)
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")
    return fd


def _allow(ruleset: int, fd: int, rights: int) -> None:
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        rights &= _OF_FILES
    record = struct.pack("=Qi", rights, fd)
    if _syscall(_ADD, ruleset, _BENEATH, record, 0):
        raise OSError(ctypes.get_errno(), f"Landlock: {os.strerror(ctypes.get_errno())}")


def _syscall(number: int, *arguments: object) -> int:
    result: int = _libc().syscall(number, *arguments)
    return result


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
