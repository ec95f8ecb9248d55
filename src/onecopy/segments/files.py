"""Writing files that last: room first, bytes onto the disk, then the name."""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from onecopy.segments import checksum, region

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# Between two such chunks others hear of the progress, and ^C is heard.
_CHUNK: Final = 4 << 20

_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2
_libc = ctypes.CDLL(None, use_errno=True)
_syncfs = _libc.syncfs
_sync_file_range = _libc.sync_file_range
_sync_file_range.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
_WRITE_OUT: Final = 2


@contextmanager
def full_disk() -> Iterator[None]:
    """Raise `StoreFull` where the system finds the disk full."""
    try:
        yield
    except OSError as error:
        raised = region.as_full(error)
        if raised is error:
            raise
        raise raised from error


def reserve(fd: int, nbytes: int) -> None:
    """Take the space of a file at once.

    So a full disk is met before anything is copied; and where a mapping is filled, not as a bus
    error.
    """
    try:
        os.posix_fallocate(fd, 0, nbytes)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise


def copy(
    source: int, target: int, nbytes: int, *, offset: int = 0, to: int = 0,
    see: Callable[[memoryview], object] | None = None,
    advance: Callable[[int], object] = lambda _: None,
) -> None:  # fmt: skip
    """Copy `nbytes` from `offset` of one file to `to` of another, in the kernel.

    Where the file system can, no byte moves: both files share their blocks from then on.
    `advance(n)` hears of every n bytes. With `see`, the bytes pass through this process, and
    `see` gets piece after piece of them.
    """
    end = offset + nbytes
    step = _clone if see is None else _through(see)
    while offset < end:
        try:
            copied = step(source, target, min(_CHUNK, end - offset), offset, to)
        except OSError as error:
            if step is not _clone or error.errno in region.FULL_DISK:
                raise
            step = _send  # From a memfd, or to another kind of file system.
            continue
        if not copied:
            raise OSError(errno.EIO, "the file ended too early")
        offset += copied
        to += copied
        advance(copied)


def _clone(source: int, target: int, count: int, offset: int, to: int) -> int:
    return os.copy_file_range(source, target, count, offset, to)


def _send(source: int, target: int, count: int, offset: int, to: int) -> int:
    os.lseek(target, to, os.SEEK_SET)
    return os.sendfile(target, source, offset, count)


def _through(
    see: Callable[[memoryview], object],
) -> Callable[[int, int, int, int, int], int]:
    """Return a step that reads, writes and shows: all of it while it is in the core's cache."""
    buffer = memoryview(bytearray(checksum.PIECE))

    def step(source: int, target: int, count: int, offset: int, to: int) -> int:
        done = 0
        while done < count:
            read = os.preadv(source, [buffer[: count - done]], offset + done)
            if not read:
                break
            written = os.pwrite(target, buffer[:read], to + done)
            see(buffer[:written])
            done += written
        return done

    return step


def write_out(fd: int, offset: int, nbytes: int) -> None:
    """Begin to write a range to the disk, and do not wait: a later sync has less to do."""
    _sync_file_range(fd, offset, nbytes, _WRITE_OUT)


def stamp(fd: int, running: checksum.Running) -> None:
    """Put the checksum into the header of a file, all of whose bytes went by."""
    os.pwrite(fd, running.digits.encode(), checksum.DIGITS_AT)


def finish(fd: int, nbytes: int) -> None:
    """Put the checksum into the header of a complete file, and bring all of it onto the disk."""
    write_out(fd, 0, nbytes)  # Meanwhile.
    running = checksum.Running()
    running.read(fd, 0, nbytes)
    stamp(fd, running)
    os.fdatasync(fd)


def sync_file_system(fd: int) -> None:
    """Bring all that was written to the file system of `fd` onto its disk.

    After many small files, once is a hundred times faster than to wait for each.
    """
    if _syncfs(fd):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def exchange(first: Path, second: Path) -> None:
    """Let two paths of one file system change places, at once."""
    names = os.fsencode(first), os.fsencode(second)
    if _libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(second))


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a crash of the machine."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
