"""Making, filling, sealing and checking memfds.

A saved segment is sealed against writing and resizing: it is immutable (I4), and no reader
can be killed by somebody who cuts it short (SIGBUS). A mutable one is sealed in size only.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final

from onecopy import native
from onecopy.errors import InvalidArgument, LimitReached, StoreFull

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE: Final = os.sysconf("SC_PAGE_SIZE")

_MFD_NOEXEC_SEAL: Final = 0x0008
_F_ADD_SEALS: Final = 1033
_F_GET_SEALS: Final = 1034
_SEAL_SEAL: Final = 0x0001
_SEAL_SHRINK: Final = 0x0002
_SEAL_GROW: Final = 0x0004
_SEAL_WRITE: Final = 0x0008
_SEAL_FUTURE_WRITE: Final = 0x0010

SIZE_SEALS: Final = _SEAL_SHRINK | _SEAL_GROW
IMMUTABLE_SEALS: Final = SIZE_SEALS | _SEAL_WRITE

# What the segment of an entry may be: a memfd of its own, sealed; a memfd in which other tensors
# live too (`storage()`), whose size alone is sealed; a file, which cannot be sealed at all.
SEALED: Final = 0
ARENA: Final = 1
FILE: Final = 2
KINDS: Final = (SEALED, ARENA, FILE)

# What one pwritev takes: IOV_MAX buffers; Linux moves at most 0x7ffff000 bytes a call.
_IOV_MAX: Final = 1024

FULL_DISK: Final = (errno.ENOSPC, errno.EDQUOT)

# Kernels before 6.3 refuse MFD_NOEXEC_SEAL. Learned at the first memfd.
_flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING | _MFD_NOEXEC_SEAL


def create(label: str, nbytes: int = 0) -> int:
    """Return a new memfd; `label` shows up in /proc/<pid>/maps."""
    global _flags
    try:
        fd = os.memfd_create(label, _flags)
    except OSError as error:
        if error.errno != errno.EINVAL or not _flags & _MFD_NOEXEC_SEAL:
            raise as_limit(error) from error
        _flags &= ~_MFD_NOEXEC_SEAL
        fd = os.memfd_create(label, _flags)
    if nbytes:
        os.ftruncate(fd, nbytes)
    return fd


def fill(
    label: str, header: bytes, block: tuple[int, int], spec: bytes, *, mutable: bool
) -> int | None:
    """Return a new sealed memfd of a header, a block of memory (address, bytes) and a spec.

    It does in one step what `create`, `write` and `seal` do; None if they have to.
    """
    library = native.find()
    if library is None:
        return None
    seals = SIZE_SEALS if mutable else IMMUTABLE_SEALS
    address, nbytes = block
    fd: int = library.quick.onecopy_fill(
        label.encode(), _flags, seals, header, len(header), address, nbytes, spec, len(spec)
    )
    return fd if fd >= 0 else None


def as_limit(error: OSError) -> OSError:
    """Return what to raise for an error that may be about the limit on open files."""
    if error.errno not in (errno.EMFILE, errno.ENFILE):
        return error
    return LimitReached(error.errno, "this process has no file descriptor left; raise `ulimit -n`")


def as_full(error: OSError) -> OSError | StoreFull:
    """Return what to raise for an error that may be about the space on a disk."""
    if error.errno in FULL_DISK:
        return StoreFull(f"the disk is full ({error.strerror}); remove entries, or free space")
    return error


def write(fd: int, buffers: Iterable[memoryview | bytes], offset: int = 0) -> int:
    """Write `buffers` one after another from `offset` on; return where they end.

    pwrite, not a mapping: it neither faults page by page nor holds the interpreter's lock.
    Raises `StoreFull` when the machine has no memory left for it.
    """
    pending = [memoryview(each) for each in buffers if len(each)]
    try:
        while pending:
            written = os.pwritev(fd, pending[:_IOV_MAX], offset)
            offset += written
            pending = _after(pending, written)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.ENOMEM, errno.EFBIG):
            raise StoreFull(
                f"the machine refused memory for this segment ({error.strerror}) after "
                f"{offset} bytes; free memory, or lower the store's capacity so that it evicts"
            ) from error
        raise
    return offset


def _after(buffers: Sequence[memoryview], written: int) -> list[memoryview]:
    """Return what is left of `buffers` once their first `written` bytes are out."""
    for index, buffer in enumerate(buffers):
        if written < len(buffer):
            return [buffer[written:], *buffers[index + 1 :]]
        written -= len(buffer)
    return []


def seal(fd: int, *, mutable: bool = False) -> None:
    """Fix the size of a memfd, and unless `mutable` its bytes too."""
    fcntl.fcntl(fd, _F_ADD_SEALS, SIZE_SEALS if mutable else IMMUTABLE_SEALS)


def check(fd: int, nbytes: int, *, mutable: bool = False, kind: int = SEALED) -> os.stat_result:
    """Check that `fd` is a segment of `nbytes` that its readers can trust; return its status.

    Raises `InvalidArgument` for anything else. The seals come first: that call fails at once on
    what is no memfd, while fstat on a descriptor of a stuck file system might never return.
    """
    if kind != FILE:
        _check_seals(fd, SIZE_SEALS if mutable or kind == ARENA else IMMUTABLE_SEALS)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode) or status.st_size != nbytes:
        raise InvalidArgument(f"the segment has {status.st_size} bytes, not {nbytes} as announced")
    return status


def _check_seals(fd: int, wanted: int) -> None:
    try:
        seals = fcntl.fcntl(fd, _F_GET_SEALS)
    except OSError as error:
        raise InvalidArgument("the descriptor is not a memfd that can be sealed") from error
    writable = not wanted & _SEAL_WRITE
    if seals & IMMUTABLE_SEALS != wanted or (writable and seals & _SEAL_FUTURE_WRITE):
        raise InvalidArgument(
            f"the segment has seals {seals:#x}; seal it with {wanted:#x} before it is saved"
        )


def keeps_size(fd: int) -> bool:
    """Return whether `fd` is a memfd whose size is sealed."""
    return _seals(fd) & SIZE_SEALS == SIZE_SEALS


def is_writable(fd: int) -> bool:
    """Return whether no seal keeps others from writing to `fd`."""
    return not _seals(fd) & (_SEAL_WRITE | _SEAL_FUTURE_WRITE)


def is_immutable(fd: int) -> bool:
    """Return whether `fd` is a memfd that nobody can write to, not even by an older mapping."""
    return bool(_seals(fd) & _SEAL_WRITE)


def _seals(fd: int) -> int:
    try:
        return fcntl.fcntl(fd, _F_GET_SEALS)
    except OSError:  # No memfd.
        return 0


def resident(status: os.stat_result, *, mutable: bool) -> int:
    """Return the bytes of memory that a segment takes: its pages, or all it may grow to."""
    if mutable:
        return -(-status.st_size // PAGE) * PAGE
    return max(PAGE, status.st_blocks * 512)


def reopen(fd: int, flags: int = os.O_RDONLY) -> int:
    """Open the same file anew: a file description of its own, with its own access mode."""
    return os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC | os.O_NONBLOCK)
