"""One connection: datagrams in and out, and never a wait for it."""

from __future__ import annotations

import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Final

from onecopy.errors import OnecopyError
from onecopy.store import wire
from onecopy.store.daemon.loop import READ, WRITE
from onecopy.store.messages import Event, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.store.daemon.loop import Loop
    from onecopy.store.daemon.processes import Process
    from onecopy.store.messages import Message

_CREDENTIALS: Final = struct.Struct("3i")
_SO_PEERPIDFD: Final = 77

# A watcher that does not read loses events beyond these many, and is told so.
_OUTBOX_LIMIT: Final = 1000


class Peer:
    """A connected client. `serve(peer, data, fds)` is called for each of its datagrams.

    A reply that does not fit the socket's buffer waits in the outbox, and no request of this
    peer is read until it is out: so a peer that never reads costs one reply, not more.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        serve: Callable[[Peer, bytes, list[int]], None],
        closed: Callable[[Peer], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = loop
        self._serve = serve
        self._closed = closed
        self._outbox: deque[bytes] = deque()
        self._lost = False
        self.pid, self.uid, _ = _CREDENTIALS.unpack(
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        )
        self.greeted = False
        self.writable = False
        self.process: Process | None = None
        self.withdraw: Callable[[], object] | None = None
        """While the peer waits for something or watches: ends that."""
        self.prefix: str | None = None
        """While the peer watches: the prefix of the names it wants to hear of."""
        loop.add(sock.fileno(), self._ready)

    def open_pidfd(self) -> int | None:
        """Return a pidfd of the process that connected, or None where the kernel has none.

        Asked of the socket where Linux can (6.5), for the pid may be another process's by now.
        """
        try:
            raw = self._sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4)
            fd = int.from_bytes(raw, "little")
            os.set_inheritable(fd, False)
            return fd
        except OSError:
            pass
        try:
            return os.pidfd_open(self.pid)
        except OSError:
            return None

    @property
    def open(self) -> bool:
        """Whether the connection still stands."""
        return self._sock.fileno() >= 0

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        else:
            self._read()

    def _read(self) -> None:
        """Serve one datagram. If there are more, we are called again, after the other peers."""
        try:
            data, fds = wire.receive(self._sock)
        except BlockingIOError:
            return
        except OnecopyError as error:
            self.reply(Refused.of(error))
            return
        except OSError:
            data, fds = b"", []
        if data:
            self._serve(self, data, fds)
        else:
            wire.close_all(fds)
            self.close()

    def reply(self, message: Message, fds: list[int] | None = None) -> None:
        """Send a message; descriptors go at once or, if the peer's buffer is full, not at all."""
        if not self.open:
            return
        data = wire.encode(message)
        if self._outbox and not fds:
            self._outbox.append(data)
            return
        try:
            wire.send(self._sock, data, tuple(fds or ()))
        except BlockingIOError:
            if fds:
                self.close()
            else:
                self._queue(data)
        except OSError:
            self.close()

    def _queue(self, data: bytes) -> None:
        self._outbox.append(data)
        self._loop.modify(self._sock.fileno(), WRITE)

    def notify(self, event: Event) -> None:
        """Send an event, or note that this watcher is too slow and lost some."""
        if len(self._outbox) >= _OUTBOX_LIMIT:
            self._lost = True
        else:
            self.reply(event)

    def _flush(self) -> None:
        try:
            while self._outbox:
                wire.send(self._sock, self._outbox[0])
                self._outbox.popleft()
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._loop.modify(self._sock.fileno(), READ)
        if self._lost:
            self._lost = False
            self.reply(Event("lost", ""))

    def close(self) -> None:
        """End the connection."""
        if self.open:
            self._loop.remove(self._sock.fileno())
            self._sock.close()
            self._closed(self)
