"""Opening again what a loaded tensor maps: mappings keep no descriptor (see `segments.mapping`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from onecopy.errors import StoreClosed, StoreUnavailable
from onecopy.store import client, messages
from onecopy.store.index.reader import Busy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.store.index.slot import Found
    from onecopy.store.session import Session

_LABEL: Final = "onecopy:"


def reopen(dev: int, ino: int, label: str, *, write: bool = False) -> int | None:
    """Open the segment of that number, if a store that this process uses has it; else None.

    `label` is the one that its mapping shows, which names the entry of a memfd in nearly all cases.
    An entry that was removed meanwhile is found too, where the daemon's /proc can be seen.
    """
    what = messages.WRITE if write else messages.READ
    for session in _sessions():
        for fd in _candidates(session, ino, label, what):
            if _is(fd, dev, ino):
                return fd
            os.close(fd)
    return None


def _sessions() -> Iterator[Session]:
    for store in client.all_stores():
        try:
            yield store._connection.live()
        except (StoreClosed, StoreUnavailable):
            continue


def _candidates(session: Session, ino: int, label: str, what: int) -> Iterator[int]:
    """Yield descriptors that may be the one, the likeliest and quickest first."""
    for found in _slots(session, ino, label):
        fd = session.opener.open(found, what)
        if fd is not None:
            yield fd
    fd = session.open_removed(ino, what)
    if fd is not None:
        yield fd


def _slots(session: Session, ino: int, label: str) -> Iterator[Found]:
    try:
        if label.startswith(_LABEL):
            found = session.index.find(label[len(_LABEL) :].encode())
            if found is not None and found.ino == ino:
                yield found
        for record in session.index.records():
            if record.ino == ino:
                found = session.index.find(record.key)
                if found is not None and found.ino == ino:
                    yield found
    except Busy:  # The daemon is stopped in the midst of a change; its descriptors are there.
        return


def _is(fd: int, dev: int, ino: int) -> bool:
    status = os.fstat(fd)
    return (status.st_dev, status.st_ino) == (dev, ino)
