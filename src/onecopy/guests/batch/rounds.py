"""Steps of a batch: guests are asked, bells are rung, and answers awaited, but not for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.errors import GuestMisbehaved
from onecopy.guests.batch.answers import ALLOWED
from onecopy.guests.batch.bells import Bells
from onecopy.guests.batch.forks import Forks
from onecopy.guests.batch.ledger import Forking, unsound
from onecopy.guests.batch.sequence import CLOSED, READY
from onecopy.guests.batch.steps import ANSWERED, KIND, MAX_TOKENS, TOOK
from onecopy.guests.wasm.control import MASK

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from onecopy.guests.batch.answers import Answer
    from onecopy.guests.batch.crew import Crew
    from onecopy.guests.batch.history import History
    from onecopy.guests.batch.sequence import Sequence


class Rounds:
    """Each round has a number; a sequence that was asked in one answers with that number."""

    def __init__(self, crew: Crew, seconds: float) -> None:
        self._crew = crew
        self._board = crew.batch.board
        self._rows = crew.batch.rows
        self._shown = crew.batch.masks
        self._ledger = crew.batch.ledger
        self._bells = Bells(self._board, self._ledger, seconds)
        self.forks = Forks(crew, self._bells)
        self.seconds = 0.0
        """From the bells of the last round to its last answer, or to the end of its time."""

    # ---- asking ----

    def ask(self, told: Mapping[Sequence, list[int]]) -> None:
        """Begin a round: append tokens, and call the guests of all that can be called."""
        with self._crew.lock:
            self._bells.begin()
            self._bells.number += 1
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
            self._bells.ring(asked)

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
        sequence.asked = self._bells.number

    # ---- awaiting ----

    def answers(self, stepped: Collection[Sequence]) -> dict[Sequence, Answer]:
        """End a round: return what to tell of each sequence, in time."""
        if not self._bells.rung:
            # Nobody else has to wait for those who are late.
            late = dict.fromkeys(each.station for each in stepped if each.asked)
            self._bells.rung = [station for station in late if station is not None]
        self._bells.wait()
        self.seconds = self._bells.seconds
        with self._crew.lock:
            outcomes, others = self._masks(stepped)
            outcomes.update({each: self._ledger.give(each) for each in others})
            forking = [each for each in others if isinstance(each.answer, Forking)]
        return outcomes | self.forks.fork_all(forking) if forking else outcomes

    def _masks(
        self, stepped: Collection[Sequence]
    ) -> tuple[dict[Sequence, Answer], list[Sequence]]:
        """Read the answers that are masks in time, as nearly all are; return who has another."""
        words, wide, number = self._board.words, self._board.wide, self._bells.number
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
