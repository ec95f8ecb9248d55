"""The worker's side of `Controllers`: what it is told by messages. Steps come by another way."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Final

import msgspec

from onecopy import native
from onecopy.errors import GuestError
from onecopy.guests.batch.bench import Bench
from onecopy.guests.batch.lender import Shown
from onecopy.guests.batch.opener import Opener
from onecopy.guests.batch.rows import Rows
from onecopy.guests.batch.steps import Board
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.windows.source import Fields, Source
from onecopy.guests.workers.messages import Done, Message
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.guests.workers.worker import Worker


class Attach(Message, frozen=True, gc=False):
    """Introduces a `Controllers`; rows, board, bell, done, opened and vocabulary come along."""

    answer: ClassVar[Any] = Done
    key: int
    index: int
    batch: int
    workers: int
    biases: bool
    guest_seconds: float
    keep: int
    grammar_engine: str
    logits: tuple[Fields, ...] = ()
    """Of each row, if guests see them; one more descriptor comes along."""


class Detach(Message, frozen=True, gc=False):
    """Closes all sequences of a `Controllers`."""

    key: int


class ToldCall(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A call that was made: the tokens; or a fork, if `branches` is not 0."""

    order: int
    tokens: tuple[int, ...]
    number: int = 0
    branches: int = 0
    chosen: int = -1
    """The token that the guest chose itself; -1 if it did not."""


class Told(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a sequence is opened with; if it was lost, what it had been told."""

    number: int
    row: int
    digest: str
    config: bytes
    request: str
    prompt: tuple[int, ...]
    seconds: float
    memory_limit: int
    root: int
    calls: tuple[ToldCall, ...]
    windows: tuple[Shown, ...] = ()
    again: bool = False
    """Whether a guest that is lost was told all of this before."""


class Lend(Message, frozen=True, gc=False):
    """Hands over a segment that windows of sequences lie in."""

    key: int
    segment: int


class Return(Message, frozen=True, gc=False):
    """Says that no sequence will be opened any more that needs a segment."""

    key: int
    segment: int


class Open(Message, frozen=True, gc=False):
    """Opens sequences, or rebuilds them together."""

    key: int
    sequences: tuple[Told, ...]


class CloseSequence(Message, frozen=True, gc=False):
    """Closes a sequence."""

    key: int
    number: int


class Lines(Message, frozen=True, gc=False):
    """What a guest logged last."""

    logs: tuple[tuple[int, str], ...]


class AskLines(Message, frozen=True, gc=False):
    """Asks for that."""

    answer: ClassVar[Any] = Lines
    key: int
    number: int


_TURN_SECONDS: Final = 0.0002

MESSAGES: Final = Attach | Detach | Lend | Return | Open | CloseSequence | AskLines


class Service:
    """The benches of a worker, by the keys of their `Controllers`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._benches: dict[int, tuple[Bench, Opener]] = {}
        self._does: dict[type, Callable[[Any, list[int]], Message | None]] = {
            Attach: self._attach,
            Detach: self._detach,
            Lend: self._lend,
            Return: self._return,
            Open: self._open,
            CloseSequence: self._close,
            AskLines: self._lines,
        }

    def handle(self, message: Any, fds: list[int]) -> Message | None:
        """Do what a message says."""
        return self._does[type(message)](message, fds)

    def _attach(self, message: Attach, fds: list[int]) -> Message:
        try:
            self._benches[message.key] = self._made(message, fds)
        except BaseException:
            wire.close_all(fds)  # nothing that was made of them closes them by itself
            raise
        return Done()

    def _made(self, message: Attach, fds: list[int]) -> tuple[Bench, Opener]:
        rows, board, bell, done, opened, segment, *logits = fds
        vocabulary = Vocabulary.from_segment(segment)
        grammars = Grammars(vocabulary, message.grammar_engine)
        bench = Bench(  # watched from now on: what may be refused comes before
            self._worker,
            Rows(rows, message.batch, vocabulary.size, biases=message.biases),
            Board(board, message.batch, message.workers),
            message.index,
            message.guest_seconds,
            bell,
            done,
            [Source.from_fields(each, logits[0]) for each in message.logits],
        )
        opener = Opener(bench, grammars, vocabulary, opened, message.keep, message.guest_seconds)
        return bench, opener

    def _detach(self, message: Detach, fds: list[int]) -> None:
        wire.close_all(fds)
        if message.key in self._benches:
            bench, opener = self._benches.pop(message.key)
            opener.close()
            bench.close()

    def _lend(self, message: Lend, fds: list[int]) -> None:
        _, opener = self._benches[message.key]
        opener.lend(message.segment, *fds)

    def _return(self, message: Return, fds: list[int]) -> None:
        wire.close_all(fds)
        _, opener = self._benches[message.key]
        opener.give_back(message.segment)

    def _open(self, message: Open, fds: list[int]) -> None:
        wire.close_all(fds)
        _, opener = self._benches[message.key]
        modules = {each.digest: self._worker.module(each.digest) for each in message.sequences}
        opener.open(message.sequences, modules)

    def _close(self, message: CloseSequence, fds: list[int]) -> None:
        wire.close_all(fds)
        bench, opener = self._find(message.key)
        bench.catch_up()  # it may be forked before
        opener.close_sequence(message.number)

    def _lines(self, message: AskLines, fds: list[int]) -> Message:
        wire.close_all(fds)
        bench, _ = self._find(message.key)
        seat = bench.seats.get(message.number)
        return Lines(() if seat is None else tuple(seat.controller.logs))

    def _find(self, key: int) -> tuple[Bench, Opener]:
        found = self._benches.get(key)
        if found is None:
            raise GuestError("these Controllers were closed")
        return found


def prepare() -> None:
    """Import, before a sandbox forbids opening files, what is imported late elsewhere."""
    # What opens sequences runs beside steps, which get the interpreter back within this time.
    sys.setswitchinterval(_TURN_SECONDS)
    for name in ("numpy", "llguidance", "onecopy.guests.decoding.llguidance_engine"):
        importlib.import_module(name)
    native.find()
