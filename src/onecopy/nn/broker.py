"""How the process of a guest gets to models: it asks its host over a socket that it inherited.

The answer carries a socket that is connected to the process of the model, and has shaken hands. The
guest's process finds and starts nothing, and sees no files. The host's side is `desk.py`.

    Load, LoadBytes → Opened | Refused        a model by its name, or as sealed memfds
    Again           → Opened | Refused        one more connection to a model that was loaded
    Drop                                      the model is not needed any more
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from onecopy.errors import BackendLost, InvalidArgument, ProtocolError
from onecopy.nn.foreign import Brought
from onecopy.nn.graph import Graph
from onecopy.nn.service.messages import Message, Refused, Welcome, decode, encode
from onecopy.store import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


class Load(Message, frozen=True, gc=False):
    """Asks for a model of the host."""

    name: str
    config: str


class LoadBytes(Message, frozen=True, gc=False):
    """Asks for a model whose parts come along, as sealed memfds."""

    encoding: str
    target: str


class Again(Message, frozen=True, gc=False):
    """Asks for another connection to a model."""

    graph: int


class Drop(Message, frozen=True, gc=False):
    """Says that a model is not needed any more."""

    graph: int


class Opened(Message, frozen=True, gc=False):
    """A connection comes along."""

    graph: int
    welcome: Welcome


_replies: Final = msgspec.msgpack.Decoder(Opened | Refused)


class Broker:
    """The guest's side; it loads models as a `Host` does. Usable from several threads."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._turn = threading.Lock()

    def load(self, name: str, config: str = "") -> Graph:
        """Load a model of the host, see `Host.load`."""
        return Graph(name, _Held(self, partial(self._ask, Load(name, config))))

    def load_bytes(
        self, builders: Sequence[bytes | memoryview], encoding: str, target: str = "cpu"
    ) -> Graph:
        """Load a model from its bytes, see `Host.load_bytes`."""
        brought = Brought.of(builders)
        request = partial(self._ask, LoadBytes(encoding, target), brought.fds)
        graph = Graph(brought.name, _Held(self, request))
        brought.close()  # The host has them.
        return graph

    def again(self, graph: int) -> tuple[socket.socket, Opened]:
        """Return another connection to a model."""
        return self._ask(Again(graph))

    def drop(self, graph: int) -> None:
        """Have the host forget a model."""
        with self._turn:
            try:
                wire.send(self._sock, encode(Drop(graph)))
            except OSError:
                pass  # The host is gone, or this end is closed.

    def _ask(self, message: Message, fds: tuple[int, ...] = ()) -> tuple[socket.socket, Opened]:
        import socket

        data = encode(message)
        if len(data) > wire.MESSAGE_LIMIT:
            raise InvalidArgument(f"a name and options of {len(data)} bytes are too long")
        with self._turn:
            try:
                wire.send(self._sock, data, fds)
                answer, received = wire.receive(self._sock)
            except (BrokenPipeError, ConnectionResetError):
                answer, received = b"", []
        if not answer:
            raise BackendLost("the host has gone, and its models with it")
        reply = decode(_replies, answer)
        if isinstance(reply, Opened) and len(received) == 1:
            return socket.socket(fileno=received[0]), reply
        wire.close_all(received)
        raise reply.to_error() if isinstance(reply, Refused) else ProtocolError("no connection")


class _Held:
    """Connects a graph: the first time by loading it, later by its number."""

    def __init__(self, broker: Broker, load: Callable[[], tuple[socket.socket, Opened]]) -> None:
        self._broker = broker
        self._load = load
        self._graph: int | None = None

    def __call__(self) -> tuple[socket.socket, Welcome]:
        if self._graph is None:
            sock, opened = self._load()
            self._graph = opened.graph
        else:
            sock, opened = self._broker.again(self._graph)
        return sock, opened.welcome

    def __del__(self) -> None:
        if self._graph is not None:
            self._broker.drop(self._graph)
