"""The checksum that a file of ours keeps in its header: CRC-32 of the whole file.

The eight digits stand at a fixed place, and count as zeros themselves. docs/design/disk.md says
why this one: it is in the standard library, as fast as a disk, and finds what disks do wrong.
It is no protection against people.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final
from zlib import crc32

from onecopy.errors import CorruptEntry

Advance = Callable[[int], object]
"""Hears of every n bytes."""

NO_DIGITS: Final = "00000000"
# What a header with a checksum begins with, behind its length; `container.as_file` writes it.
PREFIX: Final = b'{"__metadata__":{"format":"pt","onecopy":"1","crc32":"'
DIGITS_AT: Final = 8 + len(PREFIX)
_END: Final = DIGITS_AT + len(NO_DIGITS)


def _ignore(_: int) -> None:
    pass


# Large enough for the system call, and for asking for the interpreter, not to matter.
_CHUNK: Final = 1 << 20


def _update(fd: int, start: int, end: int, value: int, advance: Advance = _ignore) -> int:
    """Go on with a checksum over a range of a file; return it."""
    buffer = memoryview(bytearray(min(_CHUNK, max(0, end - start))))
    while start < end:
        count = os.preadv(fd, [buffer[: end - start]], start)
        if not count:
            raise CorruptEntry("it was cut short while it was read")
        value = crc32(buffer[:count], value)
        start += count
        advance(count)
    return value


class Running:
    """The checksum of a file, computed by a thread of its own while the file is written.

    Reading what was just written costs nothing: it is in the page cache, and crc32 lets other
    threads run.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ends: SimpleQueue[int] = SimpleQueue()
        self._value = 0
        self._at = 0
        self._error: Exception | None = None
        self._thread: threading.Thread | None = None

    def advance(self, end: int) -> None:
        """Say that all bytes before `end` are written, but for the digits."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        self._ends.put(end)

    def _run(self) -> None:
        try:
            while (end := self._ends.get()) >= 0:
                self._follow(end)
        except (OSError, CorruptEntry) as error:
            self._error = error

    def _follow(self, end: int) -> None:
        self._value = _update(self._fd, self._at, end, self._value)
        self._at = end

    def finish(self, end: int) -> str:
        """Return the digits, once all bytes up to `end` are written."""
        if self._thread is not None:
            self._ends.put(-1)
            self._thread.join()
        if self._error is not None:
            raise self._error
        self._follow(end)
        return f"{self._value:08x}"


def verify(fd: int, nbytes: int, advance: Advance = _ignore) -> bool:
    """Compare a file with its checksum; return False if it has none.

    `advance(n)` hears of every n bytes.

    Raises `CorruptEntry` if they differ.
    """
    head = os.pread(fd, _END, 0)
    if len(head) < _END or not head[8:].startswith(PREFIX):
        return False
    value = crc32(NO_DIGITS.encode(), crc32(head[:DIGITS_AT]))
    value = _update(fd, _END, nbytes, value, advance)
    if f"{value:08x}".encode() != head[DIGITS_AT:_END]:
        raise CorruptEntry(f"its checksum is {value:08x}, and its header says otherwise")
    return True
