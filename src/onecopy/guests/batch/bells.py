"""The bells of a round: workers are rung, and waited for, but not for ever."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from onecopy.guests.batch.eventfds import hear

if TYPE_CHECKING:
    from collections.abc import Mapping

    from onecopy.guests.batch.ledger import Ledger
    from onecopy.guests.batch.sequence import Sequence
    from onecopy.guests.batch.station import Station
    from onecopy.guests.batch.steps import Board

    Asked = Mapping[Station | None, list[Sequence]]


class Bells:
    """Each time that bells are rung has a number, which answers have, too."""

    def __init__(self, board: Board, ledger: Ledger, seconds: float) -> None:
        self._board = board
        self._ledger = ledger
        self._seconds = seconds
        self._begun = 0.0
        self.number = 0
        self.deadline = 0.0
        """Monotonic seconds."""
        self.rung: list[Station] = []
        """Whom `wait` is for."""

    def begin(self) -> None:
        """Count the time from now on: rings and waits until the next call share it."""
        self.deadline = time.monotonic() + self._seconds

    @property
    def seconds(self) -> float:
        """From the last ringing until now."""
        return time.monotonic() - self._begun

    def ring(self, asked: Asked) -> None:
        """Call those workers that have somebody to run; the board says what."""
        self.rung = []
        deadline = int(self.deadline * 1e9)
        for station, mine in asked.items():
            if station is not None and mine:
                if self._ledger.offences:
                    mine = sorted(mine, key=self._ledger.offender)
                rows = [each.row for each in mine]
                self._board.call(station.slot, self.number, rows, deadline)
                self.rung.append(station)
        self._begun = time.monotonic()
        # Last: a worker that wakes up may take this thread's core.
        for station in self.rung:
            station.ring(self._begun)

    def wait(self) -> None:
        """Return when all that were rung have finished or are lost, or the time is over."""
        poll = select.poll()
        waiting = {station.done: station for station in self.rung}
        for fd in waiting:
            poll.register(fd, select.POLLIN)
        while True:
            for fd, station in list(waiting.items()):
                if station.lost or station.idle():
                    poll.unregister(fd)
                    del waiting[fd]
            left = self.deadline - time.monotonic()
            if not waiting or left <= 0:
                return
            for fd, _ in poll.poll(int(left * 1000)):
                hear(fd)
