"""Connections to the process of one model, whatever its name stands for meanwhile."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING

from onecopy.errors import ModelNotFound, OnecopyError
from onecopy.nn.service import messages
from onecopy.nn.service.identity import identity
from onecopy.nn.service.launch import greet, hello_of, open_connection, welcome_from
from onecopy.nn.service.spot import Spot
from onecopy.store import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from onecopy.nn.service.launch import Wanted
    from onecopy.nn.service.messages import Hello, Welcome
    from onecopy.store.client import Store


class Connector:
    """Connects to the process of one model, and always of the same.

    Those who have a model go on with it as long as its process lives, whatever its name stands for
    by then. When the process has ended, it is started again if it would be the same.

    Args:
        want: looks the model up.
        store: a handle of its store, if there is one.
    """

    def __init__(self, want: Callable[[], Wanted], store: Store | None = None) -> None:
        self._want = want
        self._store = store
        self._key = ""
        self._hello: Hello | None = None
        self._ahead: tuple[str, socket.socket] | None = None

    def connect_ahead(self) -> None:
        """Connect now, if the process runs, so that the first call finds it done.

        That call looks the model up nevertheless: the name may stand for another one by then.
        """
        sock: socket.socket | None = None
        try:
            wanted = self._want()
            key = identity(wanted.source, self._store, wanted.content)
            sock = Spot(key).connect()
            if sock is not None:
                # Its answer is not waited for: a model may still be loading, or compute for long.
                wire.send(sock, messages.encode(hello_of(wanted)))
                self._ahead = key, sock
        except Exception:  # Who asks for it is told.
            if sock is not None:
                sock.close()

    def forget_ahead(self) -> None:
        """Close what was connected ahead, if it was not used."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead[1].close()

    def __call__(self) -> tuple[socket.socket, Welcome]:
        """Return a new connection, see `open_connection`.

        Raises:
            ModelNotFound: also if the model is another one by now, and the first does not run.
        """
        living = self._living()
        if living is not None:
            return living
        wanted = self._want()
        key = identity(wanted.source, self._store, wanted.content)
        if self._key not in ("", key):
            raise ModelNotFound(f"model {wanted.name!r} was replaced by another one; load it again")
        connection = self._connected_ahead(key) or open_connection(wanted, self._store)
        self._key, self._hello = key, hello_of(wanted)
        return connection

    def _connected_ahead(self, key: str) -> tuple[socket.socket, Welcome] | None:
        ahead, self._ahead = self._ahead, None
        if ahead is None:
            return None
        found, sock = ahead
        try:
            welcome = welcome_from(sock) if found == key else None
        except (OnecopyError, OSError):  # as it is with a new one, it will be told
            welcome = None
        # What was said to it before its process ended can be read for ever.
        if welcome is None or _is_hung_up(sock):
            sock.close()
            return None
        return sock, welcome

    def _living(self) -> tuple[socket.socket, Welcome] | None:
        sock = Spot(self._key).connect() if self._key else None
        if sock is None or self._hello is None:
            return None
        try:
            welcome = greet(sock, self._hello)
        except BaseException:
            sock.close()
            raise
        if welcome is not None:
            return sock, welcome
        sock.close()
        return None


def _is_hung_up(sock: socket.socket) -> bool:
    poll = select.poll()
    poll.register(sock, 0)  # that the other end is closed is told in any case
    return bool(poll.poll(0))
