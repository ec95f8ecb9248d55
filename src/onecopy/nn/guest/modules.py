"""Modules that a host has run, as native code in memory that the processes of guests map."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final, NamedTuple

from onecopy.guests.workers.messages import memfd
from onecopy.nn.guest.command import compile_command
from onecopy.nn.guest.messages import Module

_KEPT: Final = 8


class Native(NamedTuple):
    """Native code that can be run; the descriptor is a sealed memfd."""

    fd: int
    module: Module

    def again(self) -> Native:
        """Return it with a descriptor of one's own."""
        return self._replace(fd=os.dup(self.fd))


class Modules:
    """The last few; a file that is run again and has not changed is not even read."""

    def __init__(self) -> None:
        self._segments: dict[str, Native] = {}
        """By the modules' digests, in the order of their last uses."""
        self._files: dict[tuple[object, ...], str] = {}

    def get(self, guest: bytes | os.PathLike[str] | str) -> Native:
        """Return a module's native code; close its descriptor.

        Raises:
            InvalidModule: it is none that can be run.
            OSError: the file cannot be read.
        """
        digest = self._digest(guest)
        # Moved to the end: it is the last that was used.
        native = self._segments[digest] = self._segments.pop(digest)
        return native.again()

    def _digest(self, guest: bytes | os.PathLike[str] | str) -> str:
        if isinstance(guest, bytes):
            key, known = None, hashlib.sha256(guest).hexdigest()
        else:
            key = _identity(Path(guest))
            known = self._files.get(key, "")
        if known in self._segments:
            return known
        module = compile_command(guest)
        if module.digest not in self._segments:
            kind = Module(module.digest, module.component)
            self._segments[module.digest] = Native(memfd(module.native), kind)
            self._drop_old()
        if key:
            self._files[key] = module.digest
        return module.digest

    def _drop_old(self) -> None:
        while len(self._segments) > _KEPT:
            oldest = next(iter(self._segments))
            os.close(self._segments.pop(oldest).fd)
            self._files = {key: each for key, each in self._files.items() if each != oldest}

    def close(self) -> None:
        """Forget all; twice is fine."""
        for native in self._segments.values():
            os.close(native.fd)
        self._segments.clear()
        self._files.clear()


def _identity(path: Path) -> tuple[object, ...]:
    status = path.stat()
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size
