"""What SQLite complains of, as errors that say what to do next."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from onecopy.errors import QueueUnavailable

# SQLite's own texts (sqlite3ErrStr), stable for decades; codes need Python 3.11.
_FULL = "is full"
_ADVICE = (
    (_FULL, "there is no room for it; free some on its disk, it goes on by itself"),
    ("readonly", "it cannot be written; check its owner, its mode and that its disk is not mounted "
     "read-only"),
    ("locked", "another program holds it locked; end that program (`fuser {path}` names it)"),
    ("malformed", "it is damaged; move it away and restore a backup, or start without one"),
    ("not a database", "it is no SQLite file; move it away, or give another path"),
    ("unable to open", "it cannot be opened; check that its folder is there and is yours"),
)  # fmt: skip
_OTHERWISE = "reading or writing it failed; look at its disk (`dmesg`), it is tried again"


def unavailable(path: Path, error: Exception) -> QueueUnavailable:
    """The error that a caller sees, for one of SQLite or of the system."""
    if isinstance(error, QueueUnavailable):
        return error
    return QueueUnavailable(f"{path}: {advice(path, error)} ({error})")


def advice(path: Path, error: Exception) -> str:
    """What to do about `error`."""
    said = str(error)
    for sign, text in _ADVICE:
        if sign in said:
            return text.format(path=path)
    return _OTHERWISE


def is_full(error: Exception) -> bool:
    """Whether there was no room: smaller writes may still succeed."""
    return _FULL in str(error)


def concerns_all(error: sqlite3.Error) -> bool:
    """Whether the file is in trouble, not one statement's values."""
    return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError


def checked_folder(path: Path) -> None:
    """Make the folder of `path` if there is none; refuse one in which others can put files.

    Raises:
        QueueUnavailable: it cannot be made, or others may write there.
    """
    folder = path.parent.absolute()
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
        # The mode is that of the file, not of the umask; SQLite gives its other files the same.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        # SQLite syncs its files, not that there are new folders.
        for each in missing:
            synced(each.parent)
    except OSError as error:
        raise unavailable(path, error) from error
    if mode & 0o022:
        raise QueueUnavailable(f"{folder}: others may write there; run `chmod go-w {folder}`")


def synced(path: Path) -> None:
    """Have a file or the names of a folder on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
