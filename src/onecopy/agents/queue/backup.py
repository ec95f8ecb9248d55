"""Copies of a file that is in use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from onecopy.agents.queue.trouble import synced, unavailable
from onecopy.errors import QueueUnavailable


class Copies(Protocol):
    """What can write a copy of its file."""

    def backup(self, path: Path) -> None:
        """Write it to the empty file `path`."""


def copied(reader: Copies, path: Path) -> None:
    """Have `reader` write a copy to the new file `path`, on disk once this returns, mode 0600.

    Raises:
        QueueUnavailable: there is such a file, or it cannot be written.
    """
    if path.exists():
        raise QueueUnavailable(f"{path}: there is such a file; give a new name")
    # SQLite does not sync what VACUUM INTO writes: it gets its name once it is whole.
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        os.close(os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        reader.backup(partial)
        synced(partial)
        partial.rename(path)
        synced(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise unavailable(path, error) from error
