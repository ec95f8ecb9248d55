"""The sequences of one `Controllers` that live in this worker: run when its bell is rung.

What is written for whom is in steps.py. This loop has some 10 µs for a sequence beside what its
guest takes, so it keeps to plain words, and makes nothing anew for a row.
"""

from __future__ import annotations

import os
from time import perf_counter_ns, thread_time_ns
from typing import TYPE_CHECKING

from onecopy.errors import GuestError, GuestTimeout
from onecopy.guests.batch.rows import Rows
from onecopy.guests.batch.steps import (
    ANSWERED,
    APPENDED,
    CALL,
    COUNT,
    DEADLINE,
    FINISHED,
    KIND,
    ROLLBACK,
    ROWS,
    RUNNING,
    TOKENS,
    TOOK,
    Board,
)
from onecopy.guests.decoding.outcome import Choose, Fork, Mask, Splice
from onecopy.guests.wasm import control
from onecopy.guests.wasm.engine import ticks
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.decoding.controller import Controller
    from onecopy.guests.decoding.outcome import Outcome
    from onecopy.guests.windows.source import Source
    from onecopy.guests.workers.worker import Worker


class Seat:
    """One sequence here: its controller, and where its row is."""

    __slots__ = ("controller", "culprit", "line", "number", "pointer", "request", "row", "step")

    def __init__(
        self,
        bench: Bench,
        controller: Controller,
        number: int,
        row: int,
        culprit: int,
        request: str,
    ) -> None:
        self.controller = controller
        self.step = controller.step
        self.number = number
        self.row = row
        self.culprit = culprit
        self.request = request
        self.line = bench.board.line(row)
        self.pointer = bench.rows.mask_at(row)


class Bench:
    """Runs guests, and writes rows and answers."""

    def __init__(
        self,
        worker: Worker,
        rows: Rows,
        board: Board,
        index: int,
        guest_seconds: float,
        bell: int,
        done: int,
        logits: Sequence[Source] = (),
    ) -> None:
        self.rows = rows
        self.board = board
        self.slot = board.slot(index)
        self.seats: dict[int, Seat] = {}
        """By sequence."""
        self._worker = worker
        self._progress = worker.progress
        self._seconds = guest_seconds
        self._epochs = ticks(guest_seconds)
        # Twice its time: the first mask of a grammar takes the engine longer than the next ones.
        self._most = int(2e9 * guest_seconds)
        self._begun = (0, 0)
        self._bell, self._done = bell, done
        self._logits = logits
        self._offenders: set[int] = set()
        """Modules whose guests ran out of time here: they run last."""
        self._deferred: list[int] = []
        worker.watch(bell, self.run)

    def run(self) -> None:
        """Do what the slot says."""
        os.eventfd_read(self._bell)
        words, slot = self.board.words, self.slot
        number = words[slot]
        rows = words[slot + ROWS : slot + ROWS + words[slot + COUNT]].tolist()
        self._worker.keep_time()
        self._begun = thread_time_ns(), perf_counter_ns()
        for row in rows:
            self._run_row(row, number)
        if self._deferred:
            self._run_deferred(number)
        words[slot + RUNNING] = 0
        self._progress.end()
        words[slot + FINISHED] = number
        os.eventfd_write(self._done, 1)
        self._tidy(rows)

    def _run_row(self, row: int, number: int) -> None:
        started = perf_counter_ns()
        words, line = self.board.words, self.board.line(row)
        seat = self.seats.get(words[line])
        if seat is None:
            self.board.answer_failure(line, GuestError("its guest is not here; open it again"))
        elif self._offenders and seat.culprit in self._offenders:
            self._deferred.append(row)
            return
        else:
            words[self.slot + RUNNING] = row + 1
            self._progress.begin(seat.culprit, self._seconds)
            try:
                self._ask(seat, words, line, number)
                if perf_counter_ns() - started > self._most:
                    self._check_time(seat, started, words[line + CALL])
            except Exception as error:
                self._note(seat, error)
                self.board.answer_failure(line, error)
        self.board.wide[(line + TOOK) >> 1] = perf_counter_ns() - started
        words[line + ANSWERED] = number

    def _check_time(self, seat: Seat, started: int, called: int) -> None:
        """Raise `GuestTimeout` for a guest that spent too much in the host's functions.

        Its deadline only ends it while it runs itself. One whose forks take so long goes on, but
        from now on last. The clock is this thread's processor time:
        that others had the processor is not its fault. What ran before in this step took no more of
        it than it took by the other clock.
        """
        spent = thread_time_ns() - self._begun[0] - (started - self._begun[1])
        if spent > self._most:
            self._offenders.add(seat.culprit)
        if spent > self._most and called:
            raise GuestTimeout(f"the guest took {spent / 1e6:.0f} ms, most of them in the host")

    def _run_deferred(self, number: int) -> None:
        """Run those whose kind has cost others their time, as long as the step lasts."""
        deferred, self._deferred = self._deferred, []
        self._offenders, offenders = set(), self._offenders
        end = self.board.wide[(self.slot + DEADLINE) >> 1]
        for row in deferred:
            if perf_counter_ns() < end:
                self._run_row(row, number)
            else:
                line = self.board.line(row)
                error = GuestTimeout("guests of its module have used up the step")
                self.board.answer_failure(line, error)
                self.board.words[line + ANSWERED] = number
        self._offenders |= offenders

    def _note(self, seat: Seat, error: Exception) -> None:
        if isinstance(error, GuestTimeout):
            self._offenders.add(seat.culprit)

    def _ask(self, seat: Seat, words: memoryview, line: int, number: int) -> None:
        if words[line + ROLLBACK]:
            seat.controller.rollback(words[line + ROLLBACK])
        if not words[line + CALL]:
            self._fork(seat, line, number)
            return
        count = words[line + APPENDED]
        tokens = (words[line + TOKENS],) if count == 1 else self.board.appended(line)
        outcome = seat.step(tokens, self._epochs)
        if type(outcome) is Mask:
            outcome.write(seat.pointer, self.rows.words)
            if self.rows.bias_stride:
                self.rows.write_biases(seat.row, *outcome.biases())
            words[line + KIND] = control.MASK
        else:
            self.answer(line, outcome)

    def answer(self, line: int, outcome: Outcome | None) -> None:
        """Write what a guest wants, if that is no mask."""
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
            windows = [self.windows(row) for row, _ in branches]
            _, *controllers = seat.controller.fork(1 + len(branches), windows)
            for (row, sequence), controller in zip(branches, controllers, strict=True):
                self.sit(Seat(self, controller, sequence, row, seat.culprit, seat.request))
                self.board.answer(self.board.line(row), control.NONE)
            self.board.answer(line, control.NONE)
        except Exception as error:
            for row, _ in branches:
                self.board.answer_failure(self.board.line(row), error)
            raise
        finally:
            for row, _ in branches:
                self.board.words[self.board.line(row) + ANSWERED] = number

    def _tidy(self, rows: list[int]) -> None:
        """Do what steps need not wait for, while the model is at work."""
        words = self.board.words
        for row in rows:
            seat = self.seats.get(words[self.board.line(row)])
            if seat is not None and not seat.controller.failed:
                try:
                    seat.controller.settle()
                except GuestError:
                    pass  # it is not called again, and says why when it is

    def windows(self, row: int) -> dict[str, Source]:
        """Return what a guest in a row sees beside the vocabulary."""
        return {"logits": self._logits[row]} if self._logits else {}

    def sit(self, seat: Seat) -> None:
        """Add a sequence; its controller is this bench's from now on."""
        self.seats[seat.number] = seat

    def close(self) -> None:
        """Close all controllers, and stop listening."""
        self._worker.unwatch(self._bell)
        for seat in self.seats.values():
            seat.controller.close()
        self.seats.clear()
        self.rows.close()
        self.board.close()
        wire.close_all([self._bell, self._done])
        if self._logits:
            self._logits[0].close()  # they share one descriptor
