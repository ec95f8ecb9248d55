"""Calls the guests of a bench, one after another, once each call is prepared.

It does so in C (native/turns.c) where the library is there, which leaves to Python what is not a
mask; and else in Python alone.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from onecopy.errors import GuestError, GuestTimeout
from onecopy.guests.batch.steps import ANSWERED, DEADLINE, KIND, RUNNING, TOOK
from onecopy.guests.batch.turns import Turns
from onecopy.guests.decoding.outcome import Choose, Fork, Mask, Splice
from onecopy.guests.wasm import control
from onecopy.native import find

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.guests.batch.allowance import Allowance
    from onecopy.guests.batch.rows import Rows
    from onecopy.guests.batch.seat import Seat
    from onecopy.guests.batch.steps import Board
    from onecopy.guests.decoding.outcome import Outcome
    from onecopy.guests.workers.progress import Progress


class Caller:
    """Makes calls, and writes rows and answers."""

    def __init__(
        self, rows: Rows, board: Board, slot: int, progress: Progress, allowance: Allowance
    ) -> None:
        self._rows = rows
        self._board = board
        self._slot = slot
        self._progress = progress
        self._allowance = allowance
        self._offenders: set[int] = set()
        """Modules whose guests ran out of time here: they run last."""
        self._cut_off: set[int] = set()
        """Those whose guests did so in this step."""
        self.masked: list[Seat] = []
        """Those whose masks were dealt with in C: their controllers do not know yet."""
        self.turns = self._in_c()

    def _in_c(self) -> Turns | None:
        library = find()
        if library is None:
            return None
        return Turns(
            library,
            rows=self._rows,
            board=self._board,
            slot=self._slot,
            progress=self._progress,
            epochs=self._allowance.epochs,
            most=self._allowance.most,
        )

    def call(self, ready: list[Seat], number: int) -> None:
        """Call those whose calls are prepared, in this order but for offenders."""
        late: list[Seat] = []
        while True:
            if self._offenders:
                late += [each for each in ready if each.culprit in self._offenders]
                ready = [each for each in ready if each.culprit not in self._offenders]
            if not ready:
                break
            ready = ready[self._call_some(ready, number) :]
        end = self._board.wide[(self._slot + DEADLINE) >> 1]
        for seat in late:
            # Their kind has cost others their time: they run as long as the step lasts. It may be
            # over for other reasons: then they are late like anybody else, and have not failed.
            if seat.culprit not in self._cut_off or perf_counter_ns() < end:
                self._call_some([seat], number)
            else:
                # No timeout of its own, for which its configuration would come to quarantine.
                error = GuestError(
                    "guests of its module have used up the step, and it was not run; open it anew"
                )
                self._board.answer_failure(seat.line, error)
                self._board.words[seat.line + ANSWERED] = number
        self._cut_off.clear()

    def _call_some(self, ready: list[Seat], number: int) -> int:
        """Call guests, the first at least; return how many."""
        if self.turns is None:
            seat = ready[0]
            allowance = self._allowance
            self._board.words[self._slot + RUNNING] = seat.row + 1
            self._progress.begin(seat.culprit, allowance.seconds)
            self._finish(seat, number, lambda: seat.controller.call(seat.told, allowance.epochs))
            return 1
        plain = self.turns.run([each.address for each in ready], number)
        self.masked += ready[:plain]
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
        words, line = self._board.words, seat.line
        try:
            outcome = result()
            took = took or perf_counter_ns() - started
            if took > self._allowance.most:
                self._allowance.check(took)
            if type(outcome) is Mask:
                outcome.write(seat.pointer, self._rows.words)
                if self._rows.bias_stride:
                    self._rows.write_biases(seat.row, *outcome.biases())
                words[line + KIND] = control.MASK
            else:
                self.answer(line, outcome)
        except Exception as error:
            self.fail(seat, error)
        self._board.wide[(line + TOOK) >> 1] += perf_counter_ns() - started
        words[line + ANSWERED] = number

    def fail(self, seat: Seat, error: Exception) -> None:
        """Answer with a failure; guests of a module that takes others' time run last."""
        if isinstance(error, GuestTimeout):
            self._offenders.add(seat.culprit)
            self._cut_off.add(seat.culprit)
        self._board.answer_failure(seat.line, error)

    def answer(self, line: int, outcome: Outcome | None) -> None:
        """Write what a guest wants, if that is no mask."""
        if isinstance(outcome, Splice):
            self._board.answer(line, control.SPLICE, outcome.backtrack, outcome.tokens)
        elif isinstance(outcome, Fork):
            self._board.answer(line, control.FORK, outcome.branches)
        elif isinstance(outcome, Choose):
            self._board.answer(line, control.CHOOSE, outcome.token)
        else:
            self._board.answer(line, control.NONE if outcome is None else control.STOP)
