"""Who writes a file: a lock beside it, which says who that is, or seats for several."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from onecopy.errors import QueueUnavailable

_ours: set[Path] = set()
_guard = threading.Lock()


class _Beside:
    """A file beside another, opened once in a process, on which there are record locks.

    POSIX record locks, on a file of their own: `flock` would outlive a killed server in a child
    that it forked, and to close any descriptor of the database would drop SQLite's own locks.
    Record locks know no holders within a process; those are in `_ours`.
    """

    def __init__(self, path: Path) -> None:
        self._file = path
        self.path = path.with_name(path.name + ".lock").absolute()
        with _guard:
            if self.path in _ours:
                raise QueueUnavailable(f"{path}: this process has opened it; close that first")
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._acquire()
            except BaseException:
                os.close(self._fd)
                raise
            _ours.add(self.path)

    def _acquire(self) -> None:
        raise NotImplementedError

    def _holds(self, start: int, length: int) -> bool:
        """Try to have a part of the file to ourselves."""
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except (BlockingIOError, PermissionError):
            return False
        return True

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process prepares the file meanwhile; for a holder of it all, none can."""
        yield

    def close(self) -> None:
        """Let others have it."""
        with _guard:
            if self.path in _ours:
                _ours.discard(self.path)
                os.close(self._fd)


class Lock(_Beside):
    """For one process: held from its making until `close()`, or until the process ends.

    Raises:
        QueueUnavailable: another process, which it names, or this one holds it.
    """

    def _acquire(self) -> None:
        if not self._holds(0, 0):
            owner = os.pread(self._fd, 200, 0).decode(errors="replace") or "another process"
            raise QueueUnavailable(
                f"{self._file}: {owner} has opened it; end that one, or give another path"
            )
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)


class Seat(_Beside):
    """For several processes: each has a number that no other living one has.

    Raises:
        QueueUnavailable: this process has one.
    """

    number: int

    def _acquire(self) -> None:
        # In another container the same number may be another process's: then it is the next.
        self.number = os.getpid()
        while not self._holds(self.number, 1):
            self.number += 1

    def is_taken(self, number: int) -> bool:
        """Whether the process that had this number still lives; our own is."""
        if number == self.number:
            return True
        if not self._holds(number, 1):
            return True
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, number)
        return False

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No other process prepares the file meanwhile: the first byte is no process's number."""
        fcntl.lockf(self._fd, fcntl.LOCK_EX, 1, 0)
        try:
            yield
        finally:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, 0)
