"""A context's way to the process of its model, which is made anew when that process ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from onecopy.errors import BackendLost, ProtocolError
from onecopy.nn.service import messages
from onecopy.nn.service.messages import Collect, Computed, Done, Finish, Refused, Short
from onecopy.nn.service.spot import last_words_behind
from onecopy.store import wire

if TYPE_CHECKING:
    import socket

    from onecopy.nn.graph import Graph
    from onecopy.nn.service.messages import Message
    from onecopy.nn.workspace import Workspace

_GONE = (BrokenPipeError, ConnectionResetError)


class Line:
    """One connection, for one request at a time; `space` is the segment that goes with it."""

    def __init__(self, graph: Graph, space: Workspace) -> None:
        self._graph = graph
        self._space = space
        self._sock: socket.socket | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a process that may know what was asked before."""
        return self._sock is not None

    def ask(self, message: Message, *, goes_on: bool = False) -> Any:
        """Return the reply to a request.

        A process that ended since the last request is started again without a word, unless this one
        goes on with what it knew.

        Raises:
            BackendLost: it ended in the middle of a request.
        """
        try:
            self._send(message, goes_on)
            return self._reply(message)
        except BaseException:
            # Also if somebody interrupted us: an answer may be due on it.
            self.drop()
            raise

    def _send(self, message: Message, goes_on: bool) -> None:
        data = messages.encode(message)
        if self._sock is None:
            self._take()
        if self._sent(message, data):
            return
        if not goes_on:
            self.drop()
            # Connections that nobody used are to the same process.
            self._graph.forget_idle()
            self._take()
            if self._sent(message, data):
                return
        raise self._lost()

    def _take(self) -> None:
        self._sock = self._graph.connection()
        self._space.fresh = True

    def _sent(self, message: Message, data: bytes) -> bool:
        assert self._sock is not None
        try:
            wire.send(self._sock, data, self._segment(message))
        except _GONE:
            return False
        return True

    def _segment(self, message: Message) -> tuple[int, ...]:
        if not self._space.fresh or isinstance(message, Finish):
            return ()
        return (self._space.fd,)

    def _reply(self, message: Message) -> Any:
        assert self._sock is not None
        try:
            data, received = wire.receive(self._sock)
        except _GONE:
            data, received = b"", []
        wire.close_all(received)
        if not data:
            raise self._lost()
        if not isinstance(message, Finish):
            self._space.fresh = False
        return _checked(messages.decode_reply(data), message)

    def _lost(self) -> BackendLost:
        words = "" if self._sock is None else last_words_behind(self._sock)
        return BackendLost(
            f"the process for model {self._graph.name!r} ended in the middle of a request; the "
            f"next one starts it again{words}"
        )

    def drop(self) -> None:
        """Close the connection."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def give_back(self) -> None:
        """Leave the connection to the next context."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._graph.give_back(sock)


def _checked(reply: Any, message: Message) -> Any:
    """Return a reply if it is one to that message."""
    kinds = (Done,) if isinstance(message, Finish) else (Computed, Short)
    if not isinstance(reply, (Refused, *kinds)) or (
        isinstance(reply, Short) and isinstance(message, Collect)
    ):
        raise ProtocolError(f"{type(reply).__name__} does not answer {type(message).__name__}")
    return reply
