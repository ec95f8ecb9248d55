"""The checksum that a file of ours keeps in its header: CRC-32 of the whole file.

The eight digits stand at a fixed place, and count as zeros themselves. docs/design/disk.md says
why this one: it is in the standard library, as fast as a disk, and finds what disks do wrong.
It is no protection against people.
"""

from __future__ import annotations

import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final
from zlib import crc32

from onecopy.errors import CorruptEntry

if TYPE_CHECKING:
    from collections.abc import Callable

NO_DIGITS: Final = "00000000"
# What a header with a checksum begins with, behind its length; `container.as_file` writes it.
PREFIX: Final = b'{"__metadata__":{"format":"pt","onecopy":"1","crc32":"'
_AT: Final = 8 + len(PREFIX)
_END: Final = _AT + len(NO_DIGITS)

_CHUNK: Final = 1 << 20


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
        self._error: OSError | None = None
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
                self._update(end)
        except OSError as error:
            self._error = error

    def _update(self, end: int) -> None:
        while self._at < end:
            data = os.pread(self._fd, min(_CHUNK, end - self._at), self._at)
            if not data:
                raise OSError("the file ended while its checksum was computed")
            self._value = crc32(data, self._value)
            self._at += len(data)

    def finish(self, end: int) -> str:
        """Return the digits, once all bytes up to `end` are written."""
        if self._thread is not None:
            self._ends.put(-1)
            self._thread.join()
        if self._error is not None:
            raise self._error
        self._update(end)
        return f"{self._value:08x}"


def stamp(fd: int, nbytes: int, running: Running | None = None) -> None:
    """Put the checksum into the header of a complete file of ours."""
    digits = (running or Running(fd)).finish(nbytes)
    os.pwrite(fd, digits.encode(), _AT)


def verify(fd: int, nbytes: int, advance: Callable[[int], object] = lambda _: None) -> bool:
    """Compare a file with its checksum; return False if it has none.

    `advance(n)` hears of every n bytes.

    Raises `CorruptEntry` if they differ.
    """
    head = os.pread(fd, _END, 0)
    if len(head) < _END or not head[8:].startswith(PREFIX):
        return False
    value = crc32(NO_DIGITS.encode(), crc32(head[:_AT]))
    at = _END
    while at < nbytes:
        data = os.pread(fd, min(_CHUNK, nbytes - at), at)
        if not data:
            break
        value = crc32(data, value)
        at += len(data)
        advance(len(data))
    if f"{value:08x}".encode() != head[_AT:_END]:
        raise CorruptEntry(f"its checksum is {value:08x}, and its header says otherwise")
    return True
