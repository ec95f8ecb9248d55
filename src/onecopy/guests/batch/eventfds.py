"""Eventfds between the engine and a worker: made together, and emptied without waiting."""

from __future__ import annotations

import contextlib
import os
from typing import Final

from onecopy.segments.region import as_limit
from onecopy.store import wire

_FLAGS: Final = os.EFD_CLOEXEC | os.EFD_NONBLOCK


def made(count: int) -> list[int]:
    """Return new ones.

    Raises:
        LimitReached: this process may have no more descriptors; then none was made.
    """
    fds: list[int] = []
    try:
        for _ in range(count):
            fds.append(os.eventfd(0, _FLAGS))
    except OSError as error:
        wire.close_all(fds)
        raise as_limit(error) from error
    return fds


def hear(fd: int) -> None:
    """Empty an eventfd; a worker that was taken over may have done so before."""
    with contextlib.suppress(BlockingIOError):
        os.eventfd_read(fd)
