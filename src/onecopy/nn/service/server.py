"""The event loop of the process that holds a model: one thread that reads, computes and answers.

While it computes, requests gather in the sockets: what waits at the same time is run together.
Texts take turns of one token, and between two turns the sockets are looked at.
"""

from __future__ import annotations

import ctypes
import logging
import os
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from onecopy.errors import InferenceFailed, InvalidArgument, OnecopyError, ProtocolError
from onecopy.nn.backends.backend import Port
from onecopy.nn.service import messages
from onecopy.nn.service.aside import Aside
from onecopy.nn.service.batching import Batches
from onecopy.nn.service.messages import Done, Facts, Refused, Welcome
from onecopy.nn.service.seat import Seat
from onecopy.nn.service.vigil import Vigil
from onecopy.store import wire
from onecopy.store.daemon.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from onecopy.nn.backends.backend import Array, TensorModel, TextModel
    from onecopy.nn.service.generation import Generation
    from onecopy.store.daemon.loop import Loop

    Text = tuple[bytes, OnecopyError | None]

log = logging.getLogger("onecopy.nn")

USERS: Final = 1024
"""How many connections a process takes."""
_accept4 = ctypes.PyDLL(None, use_errno=True).accept4

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
        self._writing: list[Seat] = []
        self._due = False
        self._elsewhere: set[Seat] = set()
        """Those for whom a thread works."""
        text = isinstance(model, OnecopyError) or not hasattr(model, "infer")
        self._text = cast("TextModel", model) if text else None
        self._welcome = _welcome(model)
        self._aside = Aside(loop) if text and getattr(model, "concurrent", False) else None
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
        if seat not in self._elsewhere:
            seat.close()
        self._computing = [each for each in self._computing if each[0] is not seat]
        self._writing = [each for each in self._writing if each is not seat]
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
        elif self._aside is not None:
            self._elsewhere_do(seat, partial(_whole, seat, seat.texts(request)))
            return
        else:
            seat.generation.begin(*seat.texts(request))
            self._writing.append(seat)
        seat.busy = True
        self._work_soon()

    def _elsewhere_do(self, seat: Seat, work: Callable[[], Text]) -> None:
        """Have a thread work for a connection, and answer with the text that it returns."""
        assert self._aside is not None
        seat.busy = True
        self._elsewhere.add(seat)
        future = self._aside.run(work)
        self._aside.when_done(future, lambda: self._answer_with(seat, future))

    def _answer_with(self, seat: Seat, future: Future[Text]) -> None:
        self._elsewhere.discard(seat)
        if seat.peer.open:
            _attempt(seat, lambda: seat.deliver_text(*future.result()))
        else:
            seat.close()

    def _single(self, seat: Seat, request: messages.Single) -> None:
        if seat.generation is None:
            raise InvalidArgument("a model of tensors computes everything at once")
        texts = seat.texts(request) if request.anew else None
        if self._aside is not None:
            self._elsewhere_do(seat, partial(_next, seat.generation, texts))
        else:
            seat.deliver_text(*_next(seat.generation, texts))

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
        self._take_turns()
        if self._writing:
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
                    _attempt(seat, partial(seat.deliver, outcome, self._names()))

    def _take_turns(self) -> None:
        for seat in list(self._writing):
            _attempt(seat, partial(_turn, seat))
        self._writing = [each for each in self._writing if each.busy and each.peer.open]


class _Accepted(socket.socket):
    """A connection that never blocks, from the first."""

    def setblocking(self, flag: bool) -> None:
        """Do nothing: it is so, and a process that is closed off could not change it."""


def accept(listener: socket.socket) -> socket.socket:
    """Take a connection that waits; raises `BlockingIOError` if there is none."""
    fd = _accept4(listener.fileno(), None, None, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return _Accepted(socket.AF_UNIX, socket.SOCK_SEQPACKET, fileno=fd)


def _welcome(model: TensorModel | TextModel | OnecopyError) -> Welcome:
    """Return what is said to each user: always the same, whatever a model learns later."""
    if isinstance(model, OnecopyError) or not hasattr(model, "infer"):
        what, inputs, outputs = "text", _TEXT_INPUTS, _TEXT_OUTPUTS
    else:
        tensors = cast("TensorModel", model)
        what, inputs, outputs = "tensors", tuple(tensors.inputs), tuple(tensors.outputs)
    return Welcome(messages.VERSION, what, list(inputs), list(outputs), os.getpid())


def _whole(seat: Seat, texts: tuple[bytes, bytes]) -> Text:
    """Generate a whole text in one go, while there is somebody who wants it."""
    generation = seat.generation
    assert generation is not None
    generation.begin(*texts)
    while not generation.done and seat.peer.open:
        generation.step()
    return bytes(generation.text), generation.ended


def _next(generation: Generation, texts: tuple[bytes, bytes] | None) -> Text:
    """Generate one more token, of a new text if there is one."""
    if texts is not None:
        generation.begin(*texts)
    try:
        return generation.advance(), None
    except OnecopyError as error:
        return b"", error


def _turn(seat: Seat) -> None:
    generation = seat.generation
    assert generation is not None
    if not generation.done:
        generation.step()
    if generation.done:
        seat.deliver_text(bytes(generation.text), generation.ended)


def _attempt(seat: Seat, work: Callable[[], None]) -> None:
    """Do something for a connection; what goes wrong is answered to it, and harms no other."""
    try:
        work()
    except OnecopyError as error:
        seat.refuse(error)
    except Exception as error:
        log.exception("a request failed")
        seat.refuse(InferenceFailed(f"the model failed: {type(error).__name__}: {error}"))
