"""The worker's side of a batch: opens controllers, runs them when its bell is rung, writes rows.

One `Bench` per `Controllers`. Steps run in the worker's loop; sequences are opened by a thread of
their own, since grammars take their time to compile and steps must not wait for them.
"""

from __future__ import annotations

import importlib
import os
import queue
import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, ClassVar, Final

from onecopy.errors import GuestError, GuestTimeout
from onecopy.guests import control, steps
from onecopy.guests.controller import Controller
from onecopy.guests.engine import ticks
from onecopy.guests.grammar import Grammars
from onecopy.guests.history import Branch
from onecopy.guests.messages import Done, Message
from onecopy.guests.outcome import Choose, Fork, Mask, Splice
from onecopy.guests.progress import culprit
from onecopy.guests.rows import Rows
from onecopy.guests.steps import Board
from onecopy.guests.variables import Variables
from onecopy.guests.vocabulary import Vocabulary
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from onecopy.guests.outcome import Outcome
    from onecopy.guests.worker import Worker

REPLAY: Final = 4
"""How much longer than in its step a call may take when it is repeated: the machine is busy."""


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


class Detach(Message, frozen=True, gc=False):
    """Closes all sequences of a `Controllers`."""

    key: int


class OpenSequence(Message, frozen=True, gc=False):
    """Opens a sequence, and repeats the calls of one that was lost."""

    key: int
    number: int
    row: int
    digest: str
    config: bytes
    request: str
    prompt: tuple[int, ...]
    seconds: float
    memory_limit: int
    calls: tuple[tuple[int, ...], ...]
    branches: tuple[tuple[int, int, int], ...]
    """Forks: before which of the calls, which branch, of how many."""


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


MESSAGES: Final = Attach | Detach | OpenSequence | CloseSequence | AskLines


class Seat:
    """One sequence here: its controller, and where its row is."""

    __slots__ = ("controller", "culprit", "line", "number", "pointer", "row", "step")

    def __init__(self, bench: Bench, controller: Controller, number: int, row: int, digest: int):
        self.controller = controller
        self.step = controller.step
        self.number = number
        self.row = row
        self.culprit = digest
        self.line = bench.board.line(row)
        self.pointer = bench.rows.mask_at(row)


class Bench:
    """The sequences of one `Controllers` that live in this worker."""

    def __init__(self, worker: Worker, message: Attach, fds: list[int]) -> None:
        rows, board, self._bell, self._done, self._opened, vocabulary = fds
        self._worker = worker
        self.vocabulary = Vocabulary.from_segment(vocabulary)
        self.rows = Rows(rows, message.batch, self.vocabulary.size, biases=message.biases)
        self.board = Board(board, message.batch, message.workers)
        self._slot = self.board.slot(message.index)
        self._seconds = message.guest_seconds
        self._epochs = ticks(message.guest_seconds)
        self._keep = message.keep
        self._grammars = Grammars(self.vocabulary)
        self._grammars.engine()  # takes its time: not in the first step that needs it
        self._requests: dict[str, MutableMapping[bytes, bytes]] = {}
        self._seats: dict[int, Seat] = {}
        self._unwanted: set[int] = set()
        self._offenders: set[int] = set()
        """Modules whose guests ran out of time here: they run last."""
        self._deferred: list[int] = []
        self._orders: queue.SimpleQueue[OpenSequence | None]
        self._orders = queue.SimpleQueue()
        self._opener = threading.Thread(target=self._open_all, name="opener", daemon=True)
        self._opener.start()
        worker.watch(self._bell, self.run)

    # ---- steps ----

    def run(self) -> None:
        """Do what the slot says: fork, then call each guest and write its row."""
        os.eventfd_read(self._bell)
        words, slot = self.board.words, self._slot
        number = words[slot]
        start = slot + steps.ROWS
        rows = words[start : start + words[slot + steps.COUNT]].tolist()
        self._worker.keep_time()
        for row in rows:
            self._run_row(self.board.line(row), row, number)
        if self._deferred:
            self._run_deferred(number)
        words[slot + steps.RUNNING] = 0
        self._worker.progress.end()
        words[slot + steps.FINISHED] = number
        os.eventfd_write(self._done, 1)
        self._tidy(rows)

    def _run_deferred(self, number: int) -> None:
        """Run those whose kind has cost others their time, as long as the step lasts."""
        deferred, self._deferred = self._deferred, []
        self._offenders, offenders = set(), self._offenders
        end = self.board.wide[(self._slot + steps.DEADLINE) >> 1]
        for row in deferred:
            line = self.board.line(row)
            if perf_counter_ns() < end:
                self._run_row(line, row, number)
            else:
                self._fail(line, GuestTimeout("guests of its module have used up the step"))
                self.board.words[line + steps.ANSWERED] = number
        self._offenders |= offenders

    def _run_row(self, line: int, row: int, number: int) -> None:
        words = self.board.words
        started = perf_counter_ns()
        try:
            seat = self._seats[words[line]]
            if self._offenders and seat.culprit in self._offenders:
                self._deferred.append(row)
                return
            words[self._slot + steps.RUNNING] = row + 1
            self._worker.progress.begin(seat.culprit, self._seconds)
            if words[line + steps.ROLLBACK]:
                seat.controller.rollback(words[line + steps.ROLLBACK])
            if words[line + steps.CALL]:
                self._call(seat, line)
            else:
                self._fork(seat, line, number)
        except Exception as error:
            if isinstance(error, GuestTimeout):
                self._offenders.add(seat.culprit)
            self._fail(line, error)
        self.board.wide[(line + steps.TOOK) >> 1] = perf_counter_ns() - started
        words[line + steps.ANSWERED] = number

    def _call(self, seat: Seat, line: int) -> None:
        outcome = seat.step(self.board.appended(line), self._epochs)
        if type(outcome) is Mask:
            outcome.write(seat.pointer, self.rows.words)
            if self.rows.bias_stride:
                self.rows.write_biases(seat.row, *outcome.biases())
            self.board.words[line + steps.KIND] = control.MASK
        else:
            self._answer(line, outcome)

    def _answer(self, line: int, outcome: Outcome | None) -> None:
        if isinstance(outcome, Splice):
            self.board.answer(line, control.SPLICE, outcome.backtrack, outcome.tokens)
        elif isinstance(outcome, Fork):
            self.board.answer(line, control.FORK, outcome.branches)
        elif isinstance(outcome, Choose):
            self.board.answer(line, control.CHOOSE, outcome.token)
        else:
            self.board.answer(line, control.NONE if outcome is None else control.STOP)

    def _fork(self, seat: Seat, line: int, number: int) -> None:
        branches = self.board.branches(line)
        try:
            controllers = seat.controller.fork(1 + len(branches))
        except Exception as error:
            for row, _ in branches:
                self._fail(self.board.line(row), error)
            raise
        else:
            for (row, sequence), controller in zip(branches, controllers[1:], strict=True):
                self._sit(Seat(self, controller, sequence, row, seat.culprit))
                self.board.answer(self.board.line(row), control.NONE)
            self.board.answer(line, control.NONE)
        finally:
            for row, _ in branches:
                self.board.words[self.board.line(row) + steps.ANSWERED] = number

    def _fail(self, line: int, error: Exception) -> None:
        if isinstance(error, KeyError):
            error = GuestError("its guest is not here any more; open it again")
        self.board.answer_failure(line, error)

    def _tidy(self, rows: list[int]) -> None:
        """Count and drop what guests wrote to read-only windows, while the model is at work."""
        words = self.board.words
        for row in rows:
            seat = self._seats.get(words[self.board.line(row)])
            if seat is not None and not seat.controller.failed:
                self._charge(seat)

    def _charge(self, seat: Seat) -> None:
        try:
            seat.controller.instance.charge()
        except GuestError:
            pass  # it is not called again, and says why when it is

    # ---- opening and closing ----

    def open(self, message: OpenSequence) -> None:
        """Have a sequence opened; the line says when, and how that went."""
        self._orders.put(message)

    def _open_all(self) -> None:
        while (message := self._orders.get()) is not None:
            self._open(message)

    def _open(self, message: OpenSequence) -> None:
        words, line = self.board.words, self.board.line(message.row)
        words[self._slot + steps.OPENING] = message.row + 1
        try:
            controller, outcome = self._opened_controller(message)
            digest = culprit(message.digest)
            self._sit(Seat(self, controller, message.number, message.row, digest))
            self._answer(line, outcome)
        except Exception as error:
            self._fail(line, error)
        words[self._slot + steps.OPENING] = 0
        words[line + steps.OPENED] = message.number
        os.eventfd_write(self._opened, 1)

    def _opened_controller(self, message: OpenSequence) -> tuple[Controller, Outcome | None]:
        controller = Controller(
            self._worker.module(message.digest),
            self.vocabulary,
            config=message.config,
            grammars=self._grammars,
            variables=self._variables(message.request),
            memory_limit=message.memory_limit,
        )
        if self._keep:
            controller.keep(self._keep)
        try:
            outcome = controller.init_prompt(message.prompt, message.seconds)
            return self._repeat(controller, message), outcome
        except BaseException:
            controller.close()
            raise

    def _variables(self, request: str) -> MutableMapping[bytes, bytes]:
        if not request:
            return Variables()
        return self._requests.setdefault(request, Variables())

    def _repeat(self, controller: Controller, message: OpenSequence) -> Controller:
        """Tell a guest again what it was told."""
        forks: dict[int, list[Branch]] = {}
        for before, number, branches in message.branches:
            forks.setdefault(before, []).append(Branch(number, branches))
        for i in range(len(message.calls) + 1):
            for branch in forks.get(i, ()):
                controller = _branch_of(controller, branch)
            if i < len(message.calls):
                controller.step(message.calls[i], REPLAY * self._epochs)
        return controller

    def _sit(self, seat: Seat) -> None:
        self._seats[seat.number] = seat
        if seat.number in self._unwanted:
            self.close_sequence(seat.number)

    def close_sequence(self, number: int) -> None:
        """Close a sequence, also one that is still being opened."""
        seat = self._seats.pop(number, None)
        if seat is None:
            self._unwanted.add(number)
        else:
            seat.controller.close()

    def lines(self, number: int) -> Lines:
        """Return what a guest logged last."""
        seat = self._seats.get(number)
        return Lines(() if seat is None else tuple(seat.controller.logs))

    def close(self) -> None:
        """Close everything."""
        self._worker.unwatch(self._bell)
        self._orders.put(None)
        self._opener.join()
        for number in list(self._seats):
            self.close_sequence(number)
        self.vocabulary.close()
        self.rows.close()
        self.board.close()
        wire.close_all([self._bell, self._done, self._opened])


def _branch_of(controller: Controller, branch: Branch) -> Controller:
    controllers = controller.fork(branch.branches)
    chosen = controllers.pop(branch.number)
    for each in controllers:
        each.close()
    return chosen


class Service:
    """The benches of a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._benches: dict[int, Bench] = {}
        self._does: dict[type, Callable[[Any, list[int]], Message | None]] = {
            Attach: self._attach,
            Detach: self._detach,
            OpenSequence: self._open,
            CloseSequence: self._close,
            AskLines: self._lines,
        }

    def handle(self, message: Any, fds: list[int]) -> Message | None:
        """Do what a message says."""
        return self._does[type(message)](message, fds)

    def _attach(self, message: Attach, fds: list[int]) -> Message:
        self._benches[message.key] = Bench(self._worker, message, fds)
        return Done()

    def _detach(self, message: Detach, fds: list[int]) -> None:
        wire.close_all(fds)
        bench = self._benches.pop(message.key, None)
        if bench is not None:
            bench.close()

    def _open(self, message: OpenSequence, fds: list[int]) -> None:
        wire.close_all(fds)
        self._benches[message.key].open(message)

    def _close(self, message: CloseSequence, fds: list[int]) -> None:
        wire.close_all(fds)
        self._benches[message.key].close_sequence(message.number)

    def _lines(self, message: AskLines, fds: list[int]) -> Message:
        wire.close_all(fds)
        return self._benches[message.key].lines(message.number)


def prepare() -> None:
    """Import, before a sandbox forbids opening files, what is imported late elsewhere."""
    for name in ("numpy", "llguidance", "onecopy.guests.llguidance_engine"):
        importlib.import_module(name)
