"""Forks: sequences that go on as several, since their guests or their host want to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from onecopy.errors import GuestError, InvalidArgument, LimitReached
from onecopy.guests.batch.answers import ALLOWED, Fork
from onecopy.guests.batch.ledger import Forking
from onecopy.guests.batch.sequence import FAILED, READY

if TYPE_CHECKING:
    from onecopy.guests.batch.answers import Answer
    from onecopy.guests.batch.bells import Bells
    from onecopy.guests.batch.crew import Crew
    from onecopy.guests.batch.sequence import Sequence


class Forks:
    """Forks are asked for like steps, and with the bells of steps: one thread does both."""

    def __init__(self, crew: Crew, bells: Bells) -> None:
        self._crew = crew
        self._bells = bells
        self._board = crew.batch.board
        self._ledger = crew.batch.ledger

    def fork_all(self, forking: list[Sequence]) -> dict[Sequence, Answer]:
        """Do what guests asked for, in what is left of the time; what is late is told later."""
        families: dict[Sequence, list[Sequence]] = {}
        with self._crew.lock:
            self._bells.number += 1
            asked = self._crew.idle()
            for sequence in forking:
                answer = sequence.answer
                if sequence.station in asked and isinstance(answer, Forking):
                    sequence.answer = None
                    self._branch_off(sequence, answer.branches, families)
                    asked[sequence.station].extend(each for each in [sequence] if each.asked)
            self._bells.ring(asked)
        self._bells.wait()
        with self._crew.lock:
            return {each: self._forked(each, families.get(each)) for each in forking}

    def _branch_off(
        self, sequence: Sequence, branches: int, families: dict[Sequence, list[Sequence]]
    ) -> None:
        try:
            self._crew.check_branches(sequence, branches)
            families[sequence] = self._branch(sequence, branches)
        except LimitReached as error:
            self._ledger.fail(sequence, error)

    def _forked(self, sequence: Sequence, others: list[Sequence] | None) -> Answer:
        if others is None:
            return self._ledger.give(sequence)
        self._settle([sequence, *others])
        if sequence.state == FAILED:
            return self._ledger.give(sequence)
        sequence.waiting = False
        return Fork((sequence, *others))

    def _settle(self, family: list[Sequence]) -> None:
        first, *others = family
        for each in family:
            self._ledger.settle(each)
        if first.state == FAILED:
            for each in others:
                each.close()

    def _branch(self, sequence: Sequence, branches: int) -> list[Sequence]:
        """Ask for a fork; the new sequences are asked with the one that was."""
        crew, history = self._crew, sequence.history
        if branches - 1 > crew.roster.free:
            raise LimitReached(
                f"a fork into {branches}, and {crew.roster.free} rows are free; raise batch="
            )
        rollback, history.take_back = history.take_back, 0
        others = [
            crew.sit(sequence.owner, sequence.origin, each, sequence.on_failure)
            for each in history.fork(branches, crew.order())
        ]
        for each in others:
            each.state, each.station, each.asked = READY, sequence.station, self._bells.number
        pairs = [(each.row, each.number) for each in others]
        self._board.ask_fork(sequence.line, sequence.number, pairs, rollback)
        sequence.asked = self._bells.number
        return others

    def fork(self, sequence: Sequence, branches: int) -> list[Sequence] | None:
        """Fork a sequence in a round of its own; None if its worker is still busy."""
        self._bells.begin()
        family = None
        while family is None:
            self._await_worker(sequence)
            family = self._begin_fork(sequence, branches)
            if family is None and time.monotonic() > self._bells.deadline:
                return None
        self._bells.wait()
        with self._crew.lock:
            self._settle(family)
        if sequence.error is not None:
            raise sequence.error
        return family

    def _begin_fork(self, sequence: Sequence, branches: int) -> list[Sequence] | None:
        """Ask for a fork; None if the worker is busy, or was lost just now."""
        with self._crew.lock:
            self._ledger.settle(sequence)
            if sequence.awaited:
                return None
            if sequence.state != READY:
                raise GuestError(f"{sequence!r} cannot be forked")
            if sequence.answer not in (None, ALLOWED):
                raise InvalidArgument(
                    f"{sequence!r} has answered late, and with more than a mask: step it with no "
                    "tokens, then fork it"
                )
            asked = self._crew.idle()
            if sequence.station not in asked or sequence.asked:
                return None
            self._bells.number += 1
            family = [sequence, *self._branch(sequence, branches)]
            self._bells.ring({sequence.station: [sequence]})
            return family

    def _await_worker(self, sequence: Sequence) -> None:
        """Wait until a sequence's worker has caught up, or its loss has been noted."""
        station = sequence.station
        if station is not None and not station.idle():
            self._bells.rung = [station]
            self._bells.wait()
        left = self._bells.deadline - time.monotonic()
        self._crew.wait_until(lambda: not sequence.awaited and not _is_lost(sequence), left)


def _is_lost(sequence: Sequence) -> bool:
    return sequence.station is not None and sequence.station.lost
