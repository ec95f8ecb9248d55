"""Memory for windows, without a store."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass

from onecopy.guests.windows.source import Source


@dataclass
class Shown:
    """What can be a window: all of a memfd, as bytes."""

    fd: int
    nbytes: int
    is_writable: bool

    def window_source(self) -> Source:
        size = self.nbytes
        return Source(os.dup(self.fd), 0, 0, size, "U8", (size,), (1,), self.is_writable)


class Segment:
    """A memfd that keeps its size."""

    def __init__(self, nbytes: int) -> None:
        self.fd = os.memfd_create("test", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, nbytes)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self.readable = Shown(self.fd, nbytes, False)
        self.writable = Shown(self.fd, nbytes, True)

    def __enter__(self) -> Segment:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)
