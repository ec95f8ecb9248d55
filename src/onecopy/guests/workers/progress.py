"""What a worker is doing right now, in a page that it shares with the engine.

The worker writes before and after everything it runs for a guest; the engine's watchdog reads. So
nobody is asked, a worker that hangs is found by the clock, and when one dies it is known for whom
it was working.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import time
from typing import Final, NamedTuple

_NBYTES: Final = 4096
_SINCE, _CULPRIT, _BUDGET = range(3)


class Doing(NamedTuple):
    """What a worker is doing: since when (monotonic ns), for which module, for how long at most."""

    since: int
    culprit: int
    budget: int


class Progress:
    """Both sides of the page; only the worker writes."""

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, _NBYTES)
        # Items of a cast view are written whole, which `struct.pack_into` does not do.
        self._cells = memoryview(self._map).cast("Q")
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(self._cells))
        """Where the page is, for code in C; until `close()`."""

    def begin(self, culprit: int, seconds: float) -> None:
        """Say that work for a module begins, and how long it may take."""
        cells = self._cells
        cells[_CULPRIT] = culprit
        cells[_BUDGET] = int(seconds * 1e9)
        cells[_SINCE] = time.monotonic_ns()

    def go_on(self, culprit: int, since: int) -> None:
        """Say that work for the next module begins, at `since` in ns, with as much time."""
        cells = self._cells
        cells[_CULPRIT] = culprit
        cells[_SINCE] = since

    def end(self) -> None:
        """Say that it is done."""
        self._cells[_SINCE] = 0

    def read(self) -> Doing | None:
        """Return what the worker is doing; None if it waits to be told."""
        since = self._cells[_SINCE]
        if not since:
            return None
        doing = Doing(since, self._cells[_CULPRIT], self._cells[_BUDGET])
        # What was read may be of two moments; then the work that it was about is done.
        return doing if self._cells[_SINCE] == since else None

    def close(self) -> None:
        """Unmap it."""
        self._cells.release()
        self._map.close()


def new_page() -> int:
    """Return a descriptor of an empty page."""
    fd = os.memfd_create("onecopy-progress", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, _NBYTES)
    # A worker that was taken over could cut it short, and the engine would die of reading it.
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd


def culprit(digest: str) -> int:
    """Return the number by which the page names a module: the start of its digest."""
    return int(digest[:16], 16)
