"""What becomes of sequences whose worker is lost: they are rebuilt in others, or fail."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.errors import OnecopyError, WorkerLost
from onecopy.guests.batch.sequence import FAILED, READY, STOPPED, SUSPENDED

if TYPE_CHECKING:
    from onecopy.guests.batch.crew import Crew
    from onecopy.guests.batch.sequence import Sequence
    from onecopy.guests.batch.station import Station

_ATTEMPTS: Final = 3
_SUSPICIONS: Final = 3
"""How many workers that somebody else ended may have run the same guest at that moment."""


class Recovery:
    """Of the sequences of one crew; any thread's."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew

    def recover(self, station: Station) -> None:
        """Have the sequences of a lost worker rebuilt elsewhere; called by its station.

        What ran when it crashed, hung or grew is to blame. If somebody else ended it, nobody is;
        but that is also how a machine that runs out of memory ends it, so not time and again.
        """
        crew = self._crew
        with crew.lock:
            mine = crew.give_up(station)
            for each in mine:
                self._let_go(each, station)
        groups: dict[str | int, list[Sequence]] = {}
        for each in mine:
            if each.awaited:
                groups.setdefault(each.origin.request or each.history.root, []).append(each)
        for group in groups.values():
            self.rebuild(group, station.refusal or station.worker.reason)

    def _let_go(self, sequence: Sequence, station: Station) -> None:
        ledger = self._crew.batch.ledger
        ledger.settle(sequence)
        sequence.station = None
        ran = station.ran(sequence)
        sequence.suspected += ran
        guilty = ran and (station.worker.blamed or sequence.suspected == _SUSPICIONS)
        if guilty and sequence.state != FAILED:
            sequence.asked = 0
            error = WorkerLost("its worker ended while its guest ran; see what it did, and mend it")
            ledger.fail(sequence, error, guilty=True)
        elif not sequence.origin.rebuild and sequence.state in (READY, SUSPENDED):
            ledger.fail(sequence, not_rebuilt())
        elif sequence.state not in (STOPPED, FAILED):
            ledger.lost(sequence)

    def rebuild(self, group: list[Sequence], why: str = "") -> None:
        """Have sequences opened anew, and told all that they were told, in the same order."""
        for each in group:
            each.attempts += 1
        try:
            if max(each.attempts for each in group) > _ATTEMPTS:
                raise WorkerLost(
                    f"{1 + _ATTEMPTS} times its worker was lost, at last for this reason: {why}; "
                    "when that is done away with, open it anew"
                )
            self._crew.place(group)
        except OnecopyError as error:
            for each in group:
                self._crew.refused(each, error)


def not_rebuilt() -> WorkerLost:
    """Return what a sequence fails with that is not to be rebuilt."""
    return WorkerLost("its worker ended, and it was opened with rebuild=False; open it anew")
