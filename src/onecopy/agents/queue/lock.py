"""One server at a time: a lock beside a file, which says who holds it."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from pathlib import Path

from onecopy.errors import QueueUnavailable

_ours: set[Path] = set()
_guard = threading.Lock()


class Lock:
    """Held from its making until `close()`, or until the process ends.

    A POSIX record lock, on a file of its own: `flock` would outlive a killed server in a child
    that it forked, and to close any descriptor of the database would drop SQLite's own locks.
    Record locks know no holders within a process; those are in `_ours`.

    Raises:
        QueueUnavailable: another process, which it names, or this one holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock").absolute()
        with _guard:
            if self.path in _ours:
                raise QueueUnavailable(f"{path}: this process has opened it; close that first")
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                self._acquire(path)
            except BaseException:
                os.close(self._fd)
                raise
            _ours.add(self.path)

    def _acquire(self, path: Path) -> None:
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            owner = os.pread(self._fd, 200, 0).decode(errors="replace") or "another process"
            raise QueueUnavailable(
                f"{path}: {owner} has opened it; end that one, or give another path"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)

    def close(self) -> None:
        """Let others have it."""
        with _guard:
            if self.path in _ours:
                _ours.discard(self.path)
                os.close(self._fd)
