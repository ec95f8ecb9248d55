"""The worker's side of guests: opening them, their windows, and calls into them."""

from __future__ import annotations

import logging
import struct
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Final

from onecopy.errors import (
    GuestError,
    InvalidArgument,
    ProtocolError,
)
from onecopy.guests.windows.source import Fields, Source
from onecopy.guests.workers import messages
from onecopy.guests.workers.messages import CALL_KIND, Call, Done, Failed, Message
from onecopy.guests.workers.progress import culprit
from onecopy.guests.workers.resident import Resident
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.guests.workers.worker import Worker

log = logging.getLogger("onecopy.guests")

# Of one call: what a guest says beyond that is dropped, and that this happened is said.
_LOG_CHARACTERS: Final = 32_000


class Returned(Message, frozen=True, gc=False):
    """What a call gave back, and what the guest said meanwhile."""

    value: float | int | None
    seconds: float
    logs: tuple[tuple[int, str], ...]


class Prepared(Message, frozen=True, gc=False):
    """A function: its number, and the types of what it takes and gives."""

    function: int
    params: tuple[str, ...]
    result: str | None


class OpenGuest(Message, frozen=True, gc=False):
    """Makes a guest; the segments of its windows, then of its streams, come along, in order."""

    answer: ClassVar[Any] = Returned
    guest: int
    digest: str
    config: bytes
    memory_limit: int
    seconds: float
    windows: tuple[tuple[str, Fields], ...] = ()
    streams: tuple[Fields, ...] = ()


class Prepare(Message, frozen=True, gc=False):
    """Asks for a function of a guest."""

    answer: ClassVar[Any] = Prepared
    guest: int
    name: str


class OpenWindow(Message, frozen=True, gc=False):
    """Maps a tensor into a guest; the segment comes along."""

    answer: ClassVar[Any] = Done
    guest: int
    name: str
    source: Fields


class CloseWindow(Message, frozen=True, gc=False):
    """Takes a window away."""

    answer: ClassVar[Any] = Done
    guest: int
    name: str


class CloseGuest(Message, frozen=True, gc=False):
    """Ends a guest."""

    answer: ClassVar[Any] = Done
    guest: int


MESSAGES: Final = OpenGuest | Prepare | OpenWindow | CloseWindow | CloseGuest


class Service:
    """Opens guests and calls them."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._progress = worker.progress
        self._residents: dict[int, Resident] = {}
        self._does: dict[type, Callable[[Any, list[int]], Message]] = {
            OpenGuest: self._open,
            Prepare: self._prepare,
            OpenWindow: self._open_window,
            CloseWindow: self._close_window,
            CloseGuest: self._close,
        }

    def handle(self, message: Any, fds: list[int]) -> Message:
        """Do what a message says."""
        try:
            return self._does[type(message)](message, fds)
        finally:
            wire.close_all(fds)

    def call(self, data: bytes) -> bytes:
        """Serve a call in its own form; see `messages.Call`."""
        _, function, guest, seconds = Call.REQUEST.unpack_from(data)
        resident = self._residents.get(guest)
        if resident is None:
            return messages.encode(Failed.of(_gone()))
        export, cells = resident.functions[function]
        arguments = cells.unpack_from(data, Call.REQUEST.size)
        self._worker.keep_time()
        self._progress.begin(resident.culprit, seconds)
        start = perf_counter()
        try:
            value = resident.instance.invoke(export, *arguments, seconds=seconds)
        except Exception as error:
            return messages.encode(resident.failed(error, perf_counter() - start))
        finally:
            self._progress.end()
        return _answer(value, perf_counter() - start, resident.logs())

    def _open(self, message: OpenGuest, fds: list[int]) -> Message:
        self._worker.keep_time()
        self._progress.begin(culprit(message.digest), open_seconds(message))
        start = perf_counter()
        try:
            resident = self._make(message, fds)
            try:
                resident.instance.start(message.seconds)
            except Exception as error:
                failed = resident.failed(error, perf_counter() - start)
                resident.close()
                return failed
        finally:
            self._progress.end()
        self._residents[message.guest] = resident
        return Returned(None, perf_counter() - start, resident.logs())

    def _make(self, message: OpenGuest, fds: list[int]) -> Resident:
        module = self._worker.module(message.digest)
        # Windows need no descriptor once they are open; streams keep theirs.
        streams = [
            Source.from_fields(fields, fds.pop(len(message.windows))) for fields in message.streams
        ]
        resident = Resident(
            *(message.digest, module, message.memory_limit, message.seconds),
            *(message.config, streams),
        )
        try:
            for (name, fields), fd in zip(message.windows, fds, strict=True):
                resident.instance.open_window(name, Source.from_fields(fields, fd))
        except BaseException:
            resident.close()
            raise
        return resident

    def _prepare(self, message: Prepare, _fds: list[int]) -> Message:
        function, export = self._resident(message.guest).prepare(message.name)
        return Prepared(function, export.params, export.result)

    def _open_window(self, message: OpenWindow, fds: list[int]) -> Message:
        resident = self._resident(message.guest)
        resident.instance.open_window(message.name, Source.from_fields(message.source, fds[0]))
        return Done()

    def _close_window(self, message: CloseWindow, _fds: list[int]) -> Message:
        instance = self._resident(message.guest).instance
        if message.name not in instance.windows:
            raise InvalidArgument(f"this guest has no window {message.name!r}")
        instance.close_window(message.name)
        return Done()

    def _close(self, message: CloseGuest, _fds: list[int]) -> Message:
        resident = self._residents.pop(message.guest, None)
        if resident is not None:
            resident.close()
        return Done()

    def _resident(self, guest: int) -> Resident:
        resident = self._residents.get(guest)
        if resident is None:
            raise _gone()
        return resident


def result(answer: bytes) -> tuple[float, float | None]:
    """Return the seconds that a call took and its result, from an answer in its own form."""
    try:
        _, kind, seconds = Call.ANSWER.unpack_from(answer)
        if kind == Call.INTEGER:
            return seconds, Call.ANSWER_INT.unpack(answer)[3]
        return seconds, Call.ANSWER_FLOAT.unpack(answer)[3] if kind == Call.FLOAT else None
    except struct.error as error:
        raise ProtocolError(f"not the answer to a call: {error}") from None


def open_seconds(message: OpenGuest) -> float:
    """Return how long it may take to open a guest: to instantiate it, and two calls."""
    return 3 * message.seconds


def _gone() -> GuestError:
    return GuestError("this guest was closed; make a new one")


def _answer(value: float | None, seconds: float, logs: tuple[tuple[int, str], ...]) -> bytes:
    if logs:
        return messages.encode(Returned(value, seconds, logs))
    if value is None:
        return Call.ANSWER.pack(CALL_KIND, Call.NOTHING, seconds)
    if isinstance(value, int):
        return Call.ANSWER_INT.pack(CALL_KIND, Call.INTEGER, seconds, value)
    return Call.ANSWER_FLOAT.pack(CALL_KIND, Call.FLOAT, seconds, value)
