"""Answers that fill no datagram: they go through a segment of the worker's that the engine made.

A worker may make no memory that it shares with anybody. The datagram of such an answer is a mark
and the number of bytes; they stay in the segment until the next request, which the engine sends
when it has copied them.
"""

from __future__ import annotations

import fcntl
import os
from typing import Final

from onecopy.errors import LimitReached
from onecopy.guests.workers import messages
from onecopy.store import wire

NBYTES: Final = 4 << 20
"""Of the longest answer."""
_SHORT: Final = wire.MESSAGE_LIMIT - messages.NUMBER_NBYTES
_MARK: Final = b"\xc0"
_LENGTH_NBYTES: Final = 4


class Spill:
    """Both sides of the segment; only the worker writes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def put(self, answer: bytes) -> bytes:
        """Return what to send: the answer, or where it is.

        Raises:
            LimitReached: it is longer than any answer may be.
        """
        if len(answer) <= _SHORT:
            return answer
        if len(answer) > NBYTES:
            raise LimitReached(f"an answer of {len(answer)} bytes, and workers give {NBYTES}")
        at = 0
        while at < len(answer):
            at += os.pwrite(self._fd, memoryview(answer)[at:], at)
        return _MARK + len(answer).to_bytes(_LENGTH_NBYTES, "little")

    def take(self, data: bytes) -> bytes:
        """Return the answer that was sent; what makes no sense is left to whoever parses it."""
        if data[:1] != _MARK or len(data) != 1 + _LENGTH_NBYTES:
            return data
        count = int.from_bytes(data[1:], "little")
        return os.pread(self._fd, min(count, NBYTES), 0)


def new_spill() -> int:
    """Return a descriptor of an empty segment; its pages come when they are written."""
    fd = os.memfd_create("onecopy-answers", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, NBYTES)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
    return fd
