"""The sequences of one `Controllers` that live in this worker: run when its bell is rung.

What is written for whom is in steps.py. This loop has some 10 µs for a sequence beside what its
guest takes, and runs cold: it keeps to plain words, and makes nothing anew for a row.
"""

from __future__ import annotations

import gc
import os
from time import perf_counter_ns, thread_time_ns
from typing import TYPE_CHECKING

from onecopy.errors import GuestError
from onecopy.guests.batch.allowance import Allowance
from onecopy.guests.batch.caller import Caller
from onecopy.guests.batch.rows import Rows
from onecopy.guests.batch.seat import Seat
from onecopy.guests.batch.steps import (
    ANSWERED,
    APPENDED,
    CALL,
    COUNT,
    FINISHED,
    ROLLBACK,
    ROWS,
    RUNNING,
    TOKENS,
    TOOK,
    Board,
)
from onecopy.guests.wasm import control
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.guests.decoding.controller import Controller
    from onecopy.guests.windows.source import Source
    from onecopy.guests.workers.worker import Worker


class Bench:
    """Prepares the calls of all rows of a step; then its `Caller` calls one guest after another."""

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
        self._index = index
        self.seats: dict[int, Seat] = {}
        """By sequence."""
        self._worker = worker
        self._progress = worker.progress
        self._allowance = allowance = Allowance(guest_seconds)
        self._most = allowance.most
        self._bell, self._done = bell, done
        self._logits = logits
        self.caller = Caller(rows, board, self.slot, worker.progress, allowance)
        self.turns = self.caller.turns
        """How guests are called in C; None without the library."""
        worker.watch(bell, self.run)

    def catch_up(self) -> None:
        """Do what was rung for, and not heard yet: before what a later message says."""
        if self.board.words[self.slot] != self.board.words[self.slot + FINISHED]:
            self.run()

    def run(self) -> None:
        """Do what the slot says."""
        try:
            os.eventfd_read(self._bell)
        except BlockingIOError:
            return  # it was heard by `catch_up`
        words, slot = self.board.words, self.slot
        number = words[slot]
        rows = words[slot + ROWS : slot + ROWS + words[slot + COUNT]].tolist()
        self._worker.keep_time()
        self._allowance.begin()
        gc.disable()  # it would come every few steps, for 0.3 ms or more, and can wait
        try:
            self.caller.call(self._prepare(rows, number), number)
            self._end(number)
        finally:
            gc.enable()
        self._tidy(rows)

    def _end(self, number: int) -> None:
        words, slot = self.board.words, self.slot
        words[slot + RUNNING] = 0
        self._progress.end()
        words[slot + FINISHED] = number
        os.eventfd_write(self._done, 1)

    # ---- before calls ----

    def _prepare(self, rows: list[int], number: int) -> list[Seat]:
        """Return those whose guests are to be called; the others are answered."""
        ready = []
        words, wide, line_of = self.board.words, self.board.wide, self.board.line
        running = self.slot + RUNNING
        self._progress.begin(0, self._allowance.seconds)
        started = perf_counter_ns()
        for row in rows:
            line = line_of(row)
            seat = self.seats.get(words[line])
            if seat is not None:
                words[running] = row + 1
                self._progress.go_on(seat.culprit, started)
                if self._is_prepared(seat, words, line, number):
                    ready.append(seat)
                else:
                    seat = None
            else:
                self.board.answer_failure(line, GuestError("its guest is not here; open it again"))
            now = perf_counter_ns()
            wide[(line + TOOK) >> 1] = now - started
            started = now
            if seat is None:
                words[line + ANSWERED] = number
        return ready

    def _is_prepared(self, seat: Seat, words: memoryview, line: int, number: int) -> bool:
        controller, turn = seat.controller, seat.turn
        try:
            if words[line + ROLLBACK]:
                controller.rollback(words[line + ROLLBACK])
            if not words[line + CALL]:
                self._fork(seat, line, number)
                return False
            count = words[line + APPENDED]
            tokens = (words[line + TOKENS],) if count == 1 else self.board.appended(line)
            started = perf_counter_ns()
            seat.told = told = controller.prepare(tokens, ahead=turn is not None)
            took = perf_counter_ns() - started
            if took > self._most:  # its grammar, asked ahead, counts as if it had asked
                self._allowance.check(took)
            if turn is not None:
                turn.tell(controller.steps, controller.branch, told, count)
        except Exception as error:
            self.caller.fail(seat, error)
            return False
        return True

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

    # ---- after calls ----

    def _tidy(self, rows: list[int]) -> None:
        """Do what steps need not wait for, while the model is at work."""
        words = self.board.words
        masked, self.caller.masked = self.caller.masked, []
        for each in masked:
            each.controller.called(self.board.nanoseconds_of(each.line) / 1e9)
        for row in rows:
            seat = self.seats.get(words[self.board.line(row)])
            if seat is not None and not seat.controller.failed:
                self.settle(seat.controller)

    def settle(self, controller: Controller) -> None:
        """Do for a controller what its next step need not wait for."""
        started = thread_time_ns()
        try:
            controller.settle()
        except GuestError:
            return  # it is not called again, and says why when it is
        if thread_time_ns() - started > self._most:
            # It writes so much, or so widely, that to save it holds up the others' next step: it
            # costs itself what that is for.
            controller.keep(0)

    def opening(self, row: int) -> int:
        """Return where to say how a sequence was opened."""
        return self.board.opening(self._index, row)

    def windows(self, row: int) -> dict[str, Source]:
        """Return what a guest in a row sees beside the vocabulary."""
        return {"logits": self._logits[row]} if self._logits else {}

    def sit(self, seat: Seat) -> None:
        """Add a sequence; its controller is this bench's from now on."""
        self.seats[seat.number] = seat

    def close(self) -> None:
        """Close all controllers, and stop listening."""
        self._worker.unwatch(self._bell)
        for seat in list(self.seats.values()):
            seat.controller.close()
        self.seats.clear()
        self.rows.close()
        self.board.close()
        wire.close_all([self._bell, self._done])
        if self._logits:
            self._logits[0].close()  # they share one descriptor
