"""How the process of a guest gets to models: it asks its host over a socket that it inherited.

The answer carries a socket that is connected to the process of the model, and has shaken hands. The
guest's process finds and starts nothing, and sees no files. What it says is checked here.

    Load, LoadBytes → Opened | Refused        a model by its name, or as sealed memfds
    Again           → Opened | Refused        one more connection to a model that was loaded
    Drop                                      the model is not needed any more
"""

from __future__ import annotations

import logging
import os
import select
import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import (
    AccessDenied,
    BackendLost,
    InferenceFailed,
    InvalidArgument,
    LimitReached,
    OnecopyError,
    ProtocolError,
)
from onecopy.nn.foreign import Brought
from onecopy.nn.graph import Graph
from onecopy.nn.service.messages import Message, Refused, Welcome, decode, encode
from onecopy.store import wire

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence

    from onecopy.nn.graph import Opener
    from onecopy.nn.host import Host
    from onecopy.nn.service.launch import Connector

_AHEAD_SECONDS: Final = 1.0
"""In which a guest is to ask for what was connected for it."""

log = logging.getLogger("onecopy.nn")

GRAPHS: Final = 64
"""How many models a guest may have loaded at a time."""
CONNECTIONS: Final = 1024
"""How many connections a guest gets in its life: each context needs one, but uses it again."""


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


_requests: Final = msgspec.msgpack.Decoder(Load | LoadBytes | Again | Drop)
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


def serve(sock: socket.socket, host: Host) -> None:
    """Answer one guest's process until it ends or closes its side; for a thread of the host's."""
    desk = _Desk(host)
    try:
        desk.connect_ahead()
        if not select.select([sock], [], [], _AHEAD_SECONDS)[0]:
            desk.forget_ahead()  # It would be a user of a model that it may never ask for.
        _serve(sock, desk)
    finally:
        desk.forget_ahead()


def _serve(sock: socket.socket, desk: _Desk) -> None:
    reply: Message | None
    while True:
        try:
            data, fds = wire.receive(sock)
        except LimitReached as error:  # its descriptors were lost: ours are too many
            reply, given = Refused.of(error), None
        except (OnecopyError, OSError):
            return
        else:
            if not data:
                return
            reply, given = desk.answer(data, fds)
        if not _send(sock, reply, given):
            return


def _send(sock: socket.socket, reply: Message | None, given: socket.socket | None) -> bool:
    """Answer, if there is an answer; False if nobody is there."""
    try:
        if reply is not None:
            wire.send(sock, encode(reply), () if given is None else (given.fileno(),))
    except OSError:
        return False
    finally:
        if given is not None:
            given.close()
    return True


class _Desk:
    """What the host knows of one guest's process."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._graphs: dict[int, Opener] = {}
        self._last = 0
        self._connections = 0
        self._ahead: tuple[Load, Connector] | None = None

    def connect_ahead(self) -> None:
        """Connect to the model that this guest will ask for, if it does as the last one did.

        It is still starting meanwhile.
        """
        if self._host.asked_first is not None:
            request = Load(*self._host.asked_first)
            self._ahead = request, self._host.connector(request.name, request.config)
            self._ahead[1].connect_ahead()

    def forget_ahead(self) -> None:
        """Close what was connected for nothing."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            ahead[1].forget_ahead()

    def _connector(self, request: Load) -> Connector:
        if self._ahead is not None and self._ahead[0] == request:
            connector, self._ahead = self._ahead[1], None
        else:
            connector = self._host.connector(request.name, request.config)
        self.forget_ahead()
        if not self._last:
            self._host.asked_first = request.name, request.config
        return connector

    def answer(self, data: bytes, fds: list[int]) -> tuple[Message | None, socket.socket | None]:
        """Return the answer to a request, and the connection that goes with it."""
        try:
            return self._answer(decode(_requests, data), fds)
        except OnecopyError as error:
            return Refused.of(error), None
        except Exception as error:
            log.exception("a guest's request failed")
            return Refused.of(InferenceFailed(f"the host failed: {type(error).__name__}")), None
        finally:
            wire.close_all(fds)

    def _answer(self, request: Any, fds: list[int]) -> tuple[Message | None, socket.socket | None]:
        match request:
            case Load():
                return self._open(self._connector(request))
            case LoadBytes(encoding, target):
                self._host.check_bytes(target)
                brought = Brought([os.dup(each) for each in fds])
                return self._open(self._host.connector_of_bytes(brought, encoding))
            case Again(graph):
                if graph not in self._graphs:
                    raise InvalidArgument(f"no model {graph} was loaded")
                return self._connect(graph, self._graphs[graph])
            case Drop(graph):
                self._graphs.pop(graph, None)
        return None, None

    def _open(self, connect: Opener) -> tuple[Message, socket.socket]:
        if len(self._graphs) >= GRAPHS:
            raise AccessDenied(f"a guest may have {GRAPHS} models at a time; unload some")
        self._last += 1
        answer = self._connect(self._last, connect)
        self._graphs[self._last] = connect
        return answer

    def _connect(self, graph: int, connect: Opener) -> tuple[Message, socket.socket]:
        self._connections += 1
        if self._connections > CONNECTIONS:
            raise AccessDenied(f"a guest gets {CONNECTIONS} connections to models in its life")
        sock, welcome = connect()
        return Opened(graph, welcome), sock
