"""The host's side of the socket by which the process of a guest asks for models, see `broker`.

What the guest's process says is checked here.
"""

from __future__ import annotations

import logging
import os
import select
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import (
    AccessDenied,
    InferenceFailed,
    InvalidArgument,
    LimitReached,
    OnecopyError,
)
from onecopy.nn.broker import Again, Drop, Load, LoadBytes, Opened
from onecopy.nn.foreign import Brought
from onecopy.nn.service.messages import Message, Refused, decode, encode
from onecopy.store import wire

if TYPE_CHECKING:
    import socket

    from onecopy.nn.graph import Opener
    from onecopy.nn.host import Host
    from onecopy.nn.service.connector import Connector

log = logging.getLogger("onecopy.nn")

GRAPHS: Final = 64
"""How many models a guest may have loaded at a time."""
CONNECTIONS: Final = 1024
"""How many connections a guest gets in its life: each context needs one, but uses it again."""
AHEAD_SECONDS: Final = 1.0
"""In which a guest is to ask for what was connected for it."""
_requests: Final = msgspec.msgpack.Decoder(Load | LoadBytes | Again | Drop)


def serve(sock: socket.socket, host: Host) -> None:
    """Answer one guest's process until it ends or closes its side; for a thread of the host's."""
    desk = Desk(host)
    try:
        desk.connect_ahead()
        if not _asks_within(sock, AHEAD_SECONDS):
            desk.forget_ahead()  # It would be a user of a model that it may never ask for.
        _serve(sock, desk)
    finally:
        desk.forget_ahead()


def _asks_within(sock: socket.socket, seconds: float) -> bool:
    poll = select.poll()  # `select` has no descriptors beyond 1023
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _serve(sock: socket.socket, desk: Desk) -> None:
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


class Desk:
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
