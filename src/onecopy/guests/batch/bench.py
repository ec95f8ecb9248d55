"""The sequences of one `Controllers` that live in this worker: run when its bell is rung.

What is written for whom is in steps.py. This loop has some 10 µs for a sequence beside what its
guest takes, and runs cold: it keeps to plain words, and makes nothing anew for a row.
"""

from __future__ import annotations

import gc
import os
from time import perf_counter_ns, thread_time_ns
from typing import TYPE_CHECKING

from onecopy.errors import GuestError, GuestTimeout
from onecopy.guests.batch.rows import Rows
from onecopy.guests.batch.seat import Seat
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
from onecopy.guests.batch.turns import Turns
from onecopy.guests.decoding.outcome import Choose, Fork, Mask, Splice
from onecopy.guests.wasm import control
from onecopy.guests.wasm.engine import ticks
from onecopy.native import find
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.guests.decoding.controller import Controller
    from onecopy.guests.decoding.outcome import Outcome
    from onecopy.guests.windows.source import Source
    from onecopy.guests.workers.worker import Worker


class Bench:
    """Runs guests, and writes rows and answers.

    First all calls are prepared, then guests are called one after another: in C, where the library
    is there, which leaves to Python what is not a mask.
    """

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
        self._seconds = guest_seconds
        self._epochs = ticks(guest_seconds)
        # Twice its time: the first mask of a grammar takes the engine longer than the next ones.
        self._most = int(2e9 * guest_seconds)
        self._begun = (0, 0)
        self._bell, self._done = bell, done
        self._logits = logits
        self._offenders: set[int] = set()
        """Modules whose guests ran out of time here: they run last."""
        self._masked: list[Seat] = []
        """Those whose masks were dealt with in C: their controllers do not know yet."""
        self.turns = self._in_c()
        worker.watch(bell, self.run)

    def _in_c(self) -> Turns | None:
        library = find()
        if library is None:
            return None
        return Turns(
            library,
            rows=self.rows,
            board=self.board,
            slot=self.slot,
            progress=self._progress,
            epochs=self._epochs,
            most=self._most,
        )

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
        self._begun = thread_time_ns(), perf_counter_ns()
        gc.disable()  # it would come every few steps, for 0.3 ms or more, and can wait
        try:
            self._call(self._prepare(rows, number), number)
        finally:
            gc.enable()
        self._tidy(rows)

    # ---- before calls ----

    def _prepare(self, rows: list[int], number: int) -> list[Seat]:
        """Return those whose guests are to be called; the others are answered."""
        ready = []
        words, wide, line_of = self.board.words, self.board.wide, self.board.line
        running = self.slot + RUNNING
        self._progress.begin(0, self._seconds)
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
                self._check_time(took)
            if turn is not None:
                turn.tell(controller.steps, controller.branch, told, count)
        except Exception as error:
            self._fail(seat, error)
            return False
        return True

    def _fail(self, seat: Seat, error: Exception) -> None:
        if isinstance(error, GuestTimeout):
            self._offenders.add(seat.culprit)
        self.board.answer_failure(seat.line, error)

    # ---- calls ----

    def _call(self, ready: list[Seat], number: int) -> None:
        late: list[Seat] = []
        while True:
            if self._offenders:
                late += [each for each in ready if each.culprit in self._offenders]
                ready = [each for each in ready if each.culprit not in self._offenders]
            if not ready:
                break
            ready = ready[self._call_some(ready, number) :]
        end = self.board.wide[(self.slot + DEADLINE) >> 1]
        for seat in late:
            # Their kind has cost others their time: they run as long as the step lasts.
            if perf_counter_ns() < end:
                self._call_some([seat], number)
            else:
                error = GuestTimeout("guests of its module have used up the step")
                self.board.answer_failure(seat.line, error)
                self.board.words[seat.line + ANSWERED] = number
        self._end(number)

    def _call_some(self, ready: list[Seat], number: int) -> int:
        """Call guests, the first at least; return how many."""
        if self.turns is None:
            seat = ready[0]
            self.board.words[self.slot + RUNNING] = seat.row + 1
            self._progress.begin(seat.culprit, self._seconds)
            self._finish(seat, number, lambda: seat.controller.call(seat.told, self._epochs))
            return 1
        plain = self.turns.run([each.address for each in ready], number)
        self._masked += ready[:plain]
        if plain == len(ready):
            return plain
        seat, error = ready[plain], self.turns.error
        self._finish(seat, number, lambda: seat.controller.ended(error), self.turns.last)
        if seat.turn is not None:
            seat.turn.grow(seat.controller)
        return plain + 1

    def _finish(
        self, seat: Seat, number: int, result: Callable[[], Outcome], took: int = 0
    ) -> None:
        started = perf_counter_ns()
        words, line = self.board.words, seat.line
        try:
            outcome = result()
            took = took or perf_counter_ns() - started
            if took > self._most:
                self._check_time(took)
            if type(outcome) is Mask:
                outcome.write(seat.pointer, self.rows.words)
                if self.rows.bias_stride:
                    self.rows.write_biases(seat.row, *outcome.biases())
                words[line + KIND] = control.MASK
            else:
                self.answer(line, outcome)
        except Exception as error:
            self._fail(seat, error)
        self.board.wide[(line + TOOK) >> 1] += perf_counter_ns() - started
        words[line + ANSWERED] = number

    def _check_time(self, took: int) -> None:
        """Raise `GuestTimeout` for a guest that spent too much in the host's functions.

        Its deadline ends it only while it runs itself. What counts is this thread's processor time:
        that others had the processor is not its fault. The rest of the step had no more of that
        than it took by the other clock.
        """
        spent = thread_time_ns() - self._begun[0] - (perf_counter_ns() - self._begun[1] - took)
        if spent > self._most:
            raise GuestTimeout(f"the guest took {spent / 1e6:.0f} ms, most of them in the host")

    def _end(self, number: int) -> None:
        words, slot = self.board.words, self.slot
        words[slot + RUNNING] = 0
        self._progress.end()
        words[slot + FINISHED] = number
        os.eventfd_write(self._done, 1)

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
        masked, self._masked = self._masked, []
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
