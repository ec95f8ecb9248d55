"""What became of each sequence in a step: from a line of the board to an answer and a safe row.

Its caller holds the lock of `Controllers`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.errors import (
    GuestError,
    GuestMemoryExceeded,
    GuestMisbehaved,
    GuestTimeout,
    InvalidArgument,
    OnecopyError,
)
from onecopy.guests.batch import steps
from onecopy.guests.batch.answers import (
    ALLOWED,
    FREE,
    STOP,
    Allowed,
    Chosen,
    Failed,
    Splice,
    Suspended,
)
from onecopy.guests.batch.sequence import FAILED, OPENING, READY, STOPPED, SUSPENDED
from onecopy.guests.decoding.outcome import MAX_BRANCHES
from onecopy.guests.wasm import control

if TYPE_CHECKING:
    from onecopy.guests.batch.answers import Answer
    from onecopy.guests.batch.masks import Masks
    from onecopy.guests.batch.rows import Rows
    from onecopy.guests.batch.sequence import Kind, Sequence
    from onecopy.guests.batch.steps import Board

QUARANTINE: Final = 3
"""How many sequences of one module and configuration may cost others their time."""

_OFFENCES: Final = (GuestTimeout, GuestMemoryExceeded)


def unsound() -> GuestMisbehaved:
    """Return the error for what no worker says that is what it was."""
    return GuestMisbehaved("its worker gave an impossible answer")


class Forking(NamedTuple):
    """The guest wants to go on as so many; nobody has been told yet."""

    branches: int


class Ledger:
    """Reads answers, keeps the states of sequences, writes the rows of those without a guest."""

    def __init__(self, rows: Rows, masks: Masks, board: Board, eos: int) -> None:
        self._rows = rows
        self._masks = masks
        self._board = board
        self._eos = eos
        self.offences: Counter[Kind] = Counter()
        """By module and configuration."""

    # ---- what guests answered ----

    def settle(self, sequence: Sequence) -> None:
        """Read what a guest has answered, if it has."""
        words, line = self._board.words, sequence.line
        if not sequence.asked or words[line + steps.ANSWERED] != sequence.asked:
            return
        sequence.asked = 0
        sequence.steps += 1
        sequence.seconds += self._board.nanoseconds_of(line) / 1e9
        called, sequence.history.hearing = sequence.history.hearing, False
        kind = words[line + steps.KIND]
        if kind == steps.FAILED:
            self.fail(sequence, self._board.failure_of(line))
        elif called and not sequence.stale:  # else it was forked: what it answered before stands
            self._read(sequence, self._answer(line, kind))
        sequence.stale = False

    def _read(self, sequence: Sequence, answer: Answer | Forking | None) -> None:
        # Without an answer it would be called once more, and hear what nobody told it.
        if answer is None or not self._is_sound(answer):
            self.fail(sequence, unsound())
            return
        sequence.answer = answer
        if isinstance(answer, Chosen):
            sequence.history.chose(answer.token)

    def _is_sound(self, answer: Answer | Forking | None) -> bool:
        """Workers check what guests say; a worker that was taken over does not."""
        if isinstance(answer, Forking):
            return 1 <= answer.branches <= MAX_BRANCHES
        tokens = answer.tokens if isinstance(answer, Splice) else ()
        chosen = (answer.token,) if isinstance(answer, Chosen) else ()
        return all(token < self._rows.vocab for token in (*tokens, *chosen))

    def _answer(self, line: int, kind: int) -> Answer | Forking | None:
        number = self._board.words[line + steps.NUMBER]
        if kind == control.MASK:
            return ALLOWED
        if kind == control.SPLICE:
            return Splice(number, tuple(self._board.tokens_of(line)))
        if kind == control.FORK:
            return Forking(number)
        if kind == control.CHOOSE:
            return Chosen(number)
        return STOP if kind == control.STOP else None

    def opened(self, sequence: Sequence, line: int) -> None:
        """Note that a sequence was opened or rebuilt, or why not, as a line says."""
        words = self._board.words
        if words[line + steps.KIND] == steps.FAILED:
            self.fail(sequence, self._board.failure_of(line))
            return
        first = sequence.state == OPENING
        sequence.state = READY
        sequence.attempts = 0
        if first:
            answer = self._answer(line, words[line + steps.KIND])
            if not self._is_sound(answer):
                self.fail(sequence, unsound())
            elif isinstance(answer, Splice):
                self._splice(sequence, answer)
            elif answer is STOP:
                sequence.answer = answer

    def lost(self, sequence: Sequence) -> None:
        """Note that its worker is gone, for no fault of its own."""
        sequence.asked = 0
        sequence.stale = False
        sequence.history.lost()
        if isinstance(sequence.answer, Forking):
            # It answered, and the rebuilt guest will have: but only the call can say so again.
            sequence.history.repeat()
            sequence.answer = None
        if sequence.state != OPENING:
            sequence.state = SUSPENDED

    def fail(self, sequence: Sequence, error: OnecopyError, *, guilty: bool = False) -> None:
        """Note that a guest is not called again; `guilty` if it cost others their worker."""
        sequence.state = FAILED
        sequence.error = error
        sequence.answer = None
        if guilty or isinstance(error, _OFFENCES):
            self.offences[sequence.origin.kind] += 1

    def overtake(self, sequence: Sequence) -> None:
        """Drop an answer that came so late that the text has gone on without it."""
        if not isinstance(sequence.answer, Allowed):
            error = GuestMisbehaved("it answered too late with more than a mask: the text went on")
            self.fail(sequence, error)
        sequence.answer = None

    # ---- offenders ----

    def check(self, kind: Kind) -> None:
        """Raise `GuestError` for what is in quarantine."""
        count = self.offences[kind] if self.offences else 0
        if count >= QUARANTINE:
            raise GuestError(
                f"module {kind[0][:16]} is not run any more with this configuration: "
                f"{count} of its sequences took others' time; mend it, or make new Controllers"
            )

    def offender(self, sequence: Sequence) -> bool:
        """Return whether guests of its kind run last; one in quarantine fails instead."""
        kind = sequence.origin.kind
        try:
            self.check(kind)
        except GuestError as error:
            sequence.state, sequence.error = FAILED, error
        return self.offences[kind] > 0

    # ---- what hosts are told ----

    def give(self, sequence: Sequence) -> Answer:
        """Return what to tell the host of a sequence, and make its row fit."""
        self.settle(sequence)
        if sequence.answer is not None and sequence.history.pending:
            self.overtake(sequence)
        answer = sequence.answer
        if answer is not None and not isinstance(answer, Forking):
            sequence.answer = None
            return self._deliver(sequence, answer)
        if sequence.state == FAILED:
            return self._failed(sequence)
        if sequence.state == STOPPED:
            self._masks.allow_only(sequence.row, self._eos)
            return STOP
        return self._suspend(sequence)

    def _deliver(self, sequence: Sequence, answer: Answer) -> Answer:
        sequence.waiting = False
        if isinstance(answer, Allowed):
            self._rows.show(sequence.row)
            if self._masks.take([sequence.row]):
                self.fail(sequence, unsound())
                return self._failed(sequence)
            return answer
        only = self._eos
        if isinstance(answer, Splice):
            if not self._splice(sequence, answer):
                return self._failed(sequence)
            only = answer.tokens[0] if answer.tokens else only
        elif isinstance(answer, Chosen):
            only = answer.token
        else:
            sequence.state = STOPPED
        self._masks.allow_only(sequence.row, only)
        return answer

    def _splice(self, sequence: Sequence, answer: Splice) -> bool:
        try:
            sequence.history.splice(answer.backtrack, answer.tokens)
        except InvalidArgument as error:
            self.fail(sequence, GuestMisbehaved(str(error)))
            return False
        return True

    def _failed(self, sequence: Sequence) -> Answer:
        if sequence.on_failure == "free":
            self._masks.allow_all(sequence.row)
        else:
            self._masks.allow_only(sequence.row, self._eos)
        assert sequence.error is not None
        return Failed(sequence.error, sequence.on_failure)

    def _suspend(self, sequence: Sequence) -> Answer:
        if sequence.asked:
            self._rows.hide(sequence.row)  # its worker may still write there
        if sequence.on_failure == "free":
            self._masks.allow_all(sequence.row)
            return FREE
        self._masks.allow_only(sequence.row, self._eos)
        sequence.waiting = True
        if sequence.state == READY:
            return Suspended("its worker is late")
        return Suspended(f"it is {'opened' if sequence.state == OPENING else 'rebuilt'}")
