"""The first message of a connection: who is let in, and what it is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from onecopy.errors import AccessDenied, ProtocolError
from onecopy.store import messages
from onecopy.store.daemon.processes import Process

if TYPE_CHECKING:
    from onecopy.store.daemon.catalog import Catalog
    from onecopy.store.daemon.peer import Peer

_TOKEN_SIZE: Final = 16


class Handshake:
    """The daemon's side: clients of its own user may write, those of the reader group read."""

    def __init__(self, catalog: Catalog, *, group: bool, directory: str) -> None:
        self._catalog = catalog
        self._group = group
        self._directory = directory
        self._incarnation = os.urandom(16)

    def greet(self, peer: Peer, hello: messages.Hello) -> None:
        """Let a client in, and hand over the index; or refuse it."""
        if hello.version != messages.VERSION:
            raise ProtocolError(
                f"the store speaks protocol version {messages.VERSION}, the client "
                f"{hello.version}; restart the store with the onecopy that the client uses"
            )
        if len(hello.process) != _TOKEN_SIZE:
            raise ProtocolError(f"a process's token has {_TOKEN_SIZE} bytes")
        own = peer.uid == os.geteuid()
        if not own and not self._group:
            raise AccessDenied(
                f"this store belongs to user {os.geteuid()}; its owner can start it with a "
                "group of readers (--group)"
            )
        peer.greeted, peer.writable = True, own
        peer.process = Process(peer.pid, hello.process)
        self._welcome(peer)

    def _welcome(self, peer: Peer) -> None:
        index, touches = self._catalog.index, self._catalog.touches
        reader = os.open(f"/proc/self/fd/{index.fd}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            welcome = messages.Welcome(
                version=messages.VERSION,
                incarnation=self._incarnation,
                pid=os.getpid(),
                thread=index.pulse.thread,
                index_fd=index.fd,
                index_size=index.size,
                touch_size=touches.size if peer.writable else 0,
                writable=peer.writable,
                directory=self._directory,
                arenas=not (self._group or self._directory),
            )
            peer.reply(welcome, [reader, touches.fd] if peer.writable else [reader])
        finally:
            os.close(reader)
