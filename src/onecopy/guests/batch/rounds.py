"""Steps of a batch: guests are asked, bells are rung, and answers awaited, but not for ever."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from onecopy.errors import GuestError, GuestMisbehaved, InvalidArgument, LimitReached
from onecopy.guests.batch.answers import ALLOWED, Fork
from onecopy.guests.batch.eventfds import hear
from onecopy.guests.batch.ledger import Forking, unsound
from onecopy.guests.batch.sequence import CLOSED, FAILED, READY
from onecopy.guests.batch.steps import ANSWERED, KIND, MAX_TOKENS, TOOK
from onecopy.guests.wasm.control import MASK

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from onecopy.guests.batch.answers import Answer
    from onecopy.guests.batch.crew import Crew
    from onecopy.guests.batch.history import History
    from onecopy.guests.batch.sequence import Sequence
    from onecopy.guests.batch.station import Station

    Asked = Mapping[Station | None, list[Sequence]]


class Rounds:
    """Each round has a number; a sequence that was asked in one answers with that number."""

    def __init__(self, crew: Crew, seconds: float) -> None:
        self._crew = crew
        self._board = crew.batch.board
        self._rows = crew.batch.rows
        self._shown = crew.batch.masks
        self._ledger = crew.batch.ledger
        self._seconds = seconds
        self._number = 0
        self._deadline = 0.0
        self._begun = 0.0
        self._rung: list[Station] = []
        self.seconds = 0.0
        """From the bells of the last round to its last answer, or to the end of its time."""

    # ---- asking ----

    def ask(self, told: Mapping[Sequence, list[int]]) -> None:
        """Begin a round: append tokens, and call the guests of all that can be called."""
        with self._crew.lock:
            self._deadline = time.monotonic() + self._seconds
            self._number += 1
            self._crew.bury()
            asked = self._crew.idle()
            for sequence, tokens in told.items():
                history = sequence.history
                if tokens:
                    history.append(tokens)
                mine = asked.get(sequence.station)
                if self._may_ask(sequence, len(history.pending)) and mine is not None:
                    self._ask(sequence, history)
                    mine.append(sequence)
            self._ring(asked)

    def _may_ask(self, sequence: Sequence, pending: int) -> bool:
        if sequence.asked or sequence.answer is not None:
            self._ledger.settle(sequence)
            if sequence.answer is not None and pending:
                self._ledger.overtake(sequence)
        if pending > MAX_TOKENS:
            error = GuestMisbehaved(f"more than {MAX_TOKENS} tokens at a time")
            self._ledger.fail(sequence, error)
        return sequence.state == READY and not sequence.asked and sequence.answer is None

    def _ask(self, sequence: Sequence, history: History) -> None:
        rollback = history.take_back
        if self._rows.hidden:
            self._rows.show(sequence.row)
        self._board.ask(sequence.line, sequence.number, history.told(self._crew.order()), rollback)
        sequence.asked = self._number

    def _ring(self, asked: Asked) -> None:
        self._rung = []
        deadline = int(self._deadline * 1e9)
        for station, mine in asked.items():
            if station is not None and mine:
                if self._ledger.offences:
                    mine = sorted(mine, key=self._ledger.offender)
                rows = [each.row for each in mine]
                self._board.call(station.slot, self._number, rows, deadline)
                self._rung.append(station)
        self._begun = time.monotonic()
        # Last: a worker that wakes up may take this thread's core.
        for station in self._rung:
            station.ring(self._begun)

    # ---- awaiting ----

    def answers(self, stepped: Collection[Sequence]) -> dict[Sequence, Answer]:
        """End a round: return what to tell of each sequence, in time."""
        if not self._rung:
            # Nobody else has to wait for those who are late.
            late = dict.fromkeys(each.station for each in stepped if each.asked)
            self._rung = [station for station in late if station is not None]
        self._await()
        self.seconds = time.monotonic() - self._begun
        with self._crew.lock:
            outcomes, others = self._masks(stepped)
            outcomes.update({each: self._ledger.give(each) for each in others})
            forking = [each for each in others if isinstance(each.answer, Forking)]
        return outcomes | self._fork_all(forking) if forking else outcomes

    def _masks(
        self, stepped: Collection[Sequence]
    ) -> tuple[dict[Sequence, Answer], list[Sequence]]:
        """Read the answers that are masks in time, as nearly all are; return who has another."""
        words, wide, number = self._board.words, self._board.wide, self._number
        outcomes: dict[Sequence, Answer] = {}
        others = []
        for each in stepped:
            line = each.line
            if (
                each.asked == number == words[line + ANSWERED]
                and words[line + KIND] == MASK
                and each.state == READY
                and not each.stale
            ):
                each.asked = 0
                each.waiting = False
                each.steps += 1
                each.seconds += wide[(line + TOOK) >> 1] / 1e9
                each.history.hearing = False
                outcomes[each] = ALLOWED
            elif each.state != CLOSED:
                others.append(each)
        others += self._take(outcomes)
        return outcomes, others

    def _take(self, outcomes: dict[Sequence, Answer]) -> list[Sequence]:
        """Take masks; return those without a token, which are no outcomes."""
        empty = self._shown.take([each.row for each in outcomes])
        without = [each for each in outcomes if each.row in empty] if empty else []
        for each in without:
            del outcomes[each]
            self._ledger.fail(each, unsound())
        return without

    def _await(self) -> None:
        poll = select.poll()
        waiting = {station.done: station for station in self._rung}
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while True:
            for fd, station in list(waiting.items()):
                if station.lost or station.idle():
                    poll.unregister(fd)
                    del waiting[fd]
            left = self._deadline - time.monotonic()
            if not waiting or left <= 0:
                return
            for fd, _ in poll.poll(int(left * 1000)):
                hear(fd)

    # ---- forks ----

    def _fork_all(self, forking: list[Sequence]) -> dict[Sequence, Answer]:
        """Do what guests asked for, in what is left of the time; what is late is told later."""
        families: dict[Sequence, list[Sequence]] = {}
        with self._crew.lock:
            self._number += 1
            asked = self._crew.idle()
            for sequence in forking:
                answer = sequence.answer
                if sequence.station in asked and isinstance(answer, Forking):
                    sequence.answer = None
                    self._branch_off(sequence, answer.branches, families)
                    asked[sequence.station].extend(each for each in [sequence] if each.asked)
            self._ring(asked)
        self._await()
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
            each.state, each.station, each.asked = READY, sequence.station, self._number
        pairs = [(each.row, each.number) for each in others]
        self._board.ask_fork(sequence.line, sequence.number, pairs, rollback)
        sequence.asked = self._number
        return others

    def fork(self, sequence: Sequence, branches: int) -> list[Sequence] | None:
        """Fork a sequence in a round of its own; None if its worker is still busy."""
        self._deadline = time.monotonic() + self._seconds
        family = None
        while family is None:
            self._await_worker(sequence)
            family = self._begin_fork(sequence, branches)
            if family is None and time.monotonic() > self._deadline:
                return None
        self._await()
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
            self._number += 1
            family = [sequence, *self._branch(sequence, branches)]
            self._ring({sequence.station: [sequence]})
            return family

    def _await_worker(self, sequence: Sequence) -> None:
        """Wait until a sequence's worker has caught up, or its loss has been noted."""
        station = sequence.station
        if station is not None and not station.idle():
            self._rung = [station]
            self._await()
        left = self._deadline - time.monotonic()
        self._crew.wait_until(lambda: not sequence.awaited and not _is_lost(sequence), left)


def _is_lost(sequence: Sequence) -> bool:
    return sequence.station is not None and sequence.station.lost
