"""Connections that wait at a socket: taken, unless descriptors run out."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final

from onecopy.store import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from onecopy.store.daemon.loop import Loop

# How long to accept nobody when there are no descriptors left, in seconds.
_BREATHER: Final = 0.05


class Listening:
    """Calls `accepted` with each connection."""

    def __init__(
        self, loop: Loop, fd_limit: int, accepted: Callable[[socket.socket], object]
    ) -> None:
        self._loop = loop
        self._fd_limit = fd_limit
        self._accepted = accepted

    def begin(self, listener: socket.socket) -> None:
        """Take connections from now on."""
        listener.setblocking(False)
        self._loop.add(listener.fileno(), lambda _: self._accept(listener))

    def _accept(self, listener: socket.socket) -> None:
        try:
            sock, _ = listener.accept()
        except OSError as error:
            # The client gave up, or there is no descriptor left: it is in the backlog still, and
            # the listener stays ready. So look away for a moment, and do not spin.
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._loop.remove(listener.fileno())
                self._loop.after(_BREATHER, lambda: self.begin(listener))
            return
        # Descriptors up to the limit are for entries; those above it keep the store reachable.
        if sock.fileno() >= self._fd_limit + wire.FDS_LIMIT:
            sock.close()
            return
        self._accepted(sock)
