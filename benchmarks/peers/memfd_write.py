"""The limit of a save: one ``pwrite`` into a fresh memfd, with no store around it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from benchmarks.peers.base import NumpyPeer


class MemfdWritePeer(NumpyPeer):
    """Only saves; nobody else could find the bytes."""

    def start(self, root: Path) -> Any:  # noqa: ARG002
        """Nothing to start."""
        return None

    def save(self, value: Any) -> Any:
        """One system call, repeated only if the kernel stops early."""
        data = memoryview(value).cast("B")
        fd = os.memfd_create("limit", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        done = 0
        while done < len(data):
            done += os.pwrite(fd, data[done:], done)
        return fd

    def drop(self, handle: Any) -> None:
        """The last descriptor goes, and the memory with it."""
        os.close(handle)
