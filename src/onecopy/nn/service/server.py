"""The event loop of the process that holds a model: one thread that reads, computes and answers.

While it computes, requests gather in the sockets: what waits at the same time is run together.
Texts take turns of one token, and between two turns the sockets are looked at.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from onecopy.errors import InferenceFailed, InvalidArgument, OnecopyError, ProtocolError
from onecopy.nn.backends.backend import Port
from onecopy.nn.service import messages
from onecopy.nn.service.accepting import accept
from onecopy.nn.service.batching import Batches
from onecopy.nn.service.messages import Done, Facts, Refused, Welcome
from onecopy.nn.service.seat import Seat
from onecopy.nn.service.texts import Texts
from onecopy.nn.service.vigil import Vigil
from onecopy.store import wire
from onecopy.store.daemon.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.nn.backends.backend import Array, TensorModel, TextModel
    from onecopy.store.daemon.loop import Loop

log = logging.getLogger("onecopy.nn")

USERS: Final = 1024
"""How many connections a process takes."""

LONGEST: Final = 86400.0
"""How many seconds a user may have a process stay."""

_TEXT_INPUTS: Final[tuple[Port, ...]] = (
    Port("prompt", "u8", ("bytes",)),
    Port("options", "u8", ("bytes",)),
)
_TEXT_OUTPUTS: Final[tuple[Port, ...]] = (
    Port("text", "u8", ("bytes",)),
    Port("metadata", "u8", ("bytes",)),
)


class Server:
    """Serves a model, or the error that it did not load with."""

    def __init__(
        self,
        loop: Loop,
        model: TensorModel | TextModel | OnecopyError,
        name: str,
        backend: str,
        emptied: Callable[[float], object],
    ) -> None:
        self._loop = loop
        self._model = model
        self._name, self._backend = name, backend
        self._emptied = emptied
        """Called with the seconds that the last user wants the process to stay."""
        self._peers: dict[Peer, int] = {}
        """Connections, and their descriptors."""
        self._vigil = Vigil(lambda: tuple(self._peers.values()))
        self._seats: dict[Peer, Seat] = {}
        self._computing: list[tuple[Seat, list[Array | None]]] = []
        self._due = False
        text = isinstance(model, OnecopyError) or not hasattr(model, "infer")
        self._text = cast("TextModel", model) if text else None
        self._welcome = _welcome(model)
        self._texts = Texts(loop, apart=text and getattr(model, "concurrent", False))
        self._batches = None if text else Batches(cast("TensorModel", model))

    @property
    def peers(self) -> int:
        """How many connections there are, of users and of others."""
        return len(self._peers)

    @property
    def users(self) -> int:
        """How many users there are."""
        return len(self._seats)

    def accept(self, listener: socket.socket) -> bool:
        """Take one connection; False if none waits."""
        try:
            sock = accept(listener)
        except BlockingIOError:
            return False
        except OSError as error:  # out of descriptors: it waits until there are some
            log.warning("a connection was not accepted: %s", error)
            time.sleep(0.01)
            return False
        peer = Peer(sock, self._loop, self._serve, self._left)
        self._peers[peer] = sock.fileno()
        if peer.uid != os.geteuid() or len(self._peers) > USERS:
            peer.reply(Refused("LimitReached", f"a process of a model has at most {USERS} users"))
            peer.close()
        return True

    def _left(self, peer: Peer) -> None:
        self._peers.pop(peer, None)
        seat = self._seats.pop(peer, None)
        if seat is None:
            return
        self._texts.leave(seat)
        self._computing = [each for each in self._computing if each[0] is not seat]
        if not self._seats:
            self._emptied(seat.idle)

    def _serve(self, peer: Peer, data: bytes, fds: list[int]) -> None:
        seat = self._seats.get(peer)
        try:
            request = messages.decode_request(data)
            if seat is None:
                self._greet(peer, request)
            elif seat.busy:
                raise ProtocolError("one request at a time")
            else:
                self._answer(seat, request, fds)
        except ProtocolError as error:
            peer.reply(Refused.of(error))
            peer.close()
        except OnecopyError as error:
            peer.reply(Refused.of(error))
        except Exception as error:
            log.exception("a request failed")
            peer.reply(Refused.of(InferenceFailed(f"{type(error).__name__}: {error}")))
        finally:
            wire.close_all(fds)

    def _greet(self, peer: Peer, request: object) -> None:
        match request:
            case messages.Ask():
                peer.reply(Facts(self._name, self._backend, os.getpid(), self.users))
            case messages.Hello(version, config, idle):
                if version != messages.VERSION:
                    raise ProtocolError(f"version {messages.VERSION} is spoken here")
                if isinstance(self._model, OnecopyError):
                    raise self._model
                seat = Seat(peer, min(max(0.0, idle), LONGEST), config, self._text)
                self._seats[peer] = seat
                peer.reply(self._welcome)
            case _:
                raise ProtocolError("Hello comes first")

    def _answer(self, seat: Seat, request: object, fds: list[int]) -> None:
        match request:
            case messages.Compute():
                seat.attach(request, fds)
                self._compute(seat, request)
            case messages.Single():
                seat.attach(request, fds)
                self._single(seat, request)
            case messages.Prepare():
                seat.attach(request, fds)
                self._prepare(seat, request)
            case messages.Collect():
                seat.attach(request, fds)
                seat.collect()
            case messages.Finish():
                seat.finish()
                seat.answer(Done())
            case _:
                raise ProtocolError("Hello comes first, and once")

    def _compute(self, seat: Seat, request: messages.Compute) -> None:
        if seat.generation is None:
            self._computing.append((seat, seat.arrays(request)))
            seat.busy = True
        else:
            self._texts.begin(seat, seat.texts(request))
        if self._computing or self._texts.unfinished:
            self._work_soon()

    def _single(self, seat: Seat, request: messages.Single) -> None:
        if seat.generation is None:
            raise InvalidArgument("a model of tensors computes everything at once")
        self._texts.advance(seat, seat.texts(request) if request.anew else None)

    def _prepare(self, seat: Seat, request: messages.Prepare) -> None:
        if seat.generation is None:
            raise InvalidArgument("a model of tensors has no prompt")
        seat.generation.prepare(*seat.texts(request))
        seat.deliver_text(b"")

    def _names(self) -> tuple[str, ...]:
        """Return the names of outputs, if nobody could know them before."""
        if self._welcome.outputs:
            return ()
        return tuple(each.name for each in cast("TensorModel", self._model).outputs)

    def _work_soon(self) -> None:
        """Work when every socket that is ready has been looked at."""
        if not self._due:
            self._due = True
            self._loop.after(0, self._work)

    def _work(self) -> None:
        self._due = False
        self._run_batches()
        self._texts.take_turns()
        if self._texts.unfinished:
            self._work_soon()

    def _run_batches(self) -> None:
        waiting, self._computing = self._computing, []
        if not waiting or self._batches is None:
            return
        with self._vigil:
            for number, outcome in self._batches.run([inputs for _, inputs in waiting]):
                seat = waiting[number][0]
                if isinstance(outcome, OnecopyError):
                    seat.refuse(outcome)
                else:
                    seat.attempt(partial(seat.deliver, outcome, self._names()))


def _welcome(model: TensorModel | TextModel | OnecopyError) -> Welcome:
    """Return what is said to each user: always the same, whatever a model learns later."""
    if isinstance(model, OnecopyError) or not hasattr(model, "infer"):
        what, inputs, outputs = "text", _TEXT_INPUTS, _TEXT_OUTPUTS
    else:
        tensors = cast("TensorModel", model)
        what, inputs, outputs = "tensors", tuple(tensors.inputs), tuple(tensors.outputs)
    return Welcome(messages.VERSION, what, list(inputs), list(outputs), os.getpid())
