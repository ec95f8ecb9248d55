"""Which sequences there are, and in which workers: placed, opened, closed.

Its methods are for any thread. The lock is for what takes microseconds: nobody waits for a worker
with it.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import TYPE_CHECKING

from onecopy.errors import GuestError, LimitReached, OnecopyError, WaitTimeout
from onecopy.guests.batch.lender import Lender
from onecopy.guests.batch.recovery import Recovery
from onecopy.guests.batch.roster import Roster
from onecopy.guests.batch.sequence import (
    CLOSED,
    FAILED,
)
from onecopy.guests.batch.station import Station

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from onecopy.guests.batch.answers import OnFailure
    from onecopy.guests.batch.batch import Batch
    from onecopy.guests.batch.controllers import Controllers
    from onecopy.guests.batch.history import History
    from onecopy.guests.batch.sequence import Origin, Sequence
    from onecopy.guests.workers.pool import Pool
    from onecopy.guests.workers.remote import WorkerProcess


class Crew:
    """The sequences of a batch and the workers that they live in."""

    def __init__(self, batch: Batch, pool: Pool, tenant: str) -> None:
        self.batch = batch
        self.lock = threading.RLock()
        self.stations: dict[WorkerProcess, Station] = {}
        self.roster = Roster(batch.rows.batch)
        self.graves: list[Station] = []
        """Stations that were lost, and whose descriptors somebody may be waiting for still."""
        self.lender = Lender()
        self.recovery = Recovery(self)
        self._pool = pool
        self._tenant = tenant
        self._changed = threading.Condition(self.lock)
        self._orders = itertools.count(1)
        self._closed = False
        self._process = os.getpid()

    def check_open(self) -> None:
        """Raise `GuestError` if it was closed, or belongs to another process."""
        if self._closed:
            raise GuestError("these Controllers were closed; make new ones")
        if self._process != os.getpid():  # it has the board and the bells of its parent
            raise GuestError(
                "these Controllers belong to the process that this one was forked from; make new "
                "ones, in a new Pool"
            )

    def order(self) -> int:
        """Return a number for what happens now: later ones are larger."""
        return next(self._orders)

    # ---- coming ----

    def sit(
        self, owner: Controllers, origin: Origin, history: History, on_failure: OnFailure
    ) -> Sequence:
        """Give a row to a new sequence.

        Raises:
            LimitReached: there is none.
        """
        with self.lock:
            self.check_open()
            if not self.roster.free:
                self.idle()  # frees rows that workers were late with
            sequence = self.roster.add(owner, origin, history, on_failure)
            origin.users += 1
            return sequence

    def check_branches(self, sequence: Sequence, branches: int) -> None:
        """Raise `LimitReached` if a guest wants more branches than it may have, all in all."""
        most = self.batch.branches
        count = self.roster.branches(sequence.history.root)
        if count + branches - 1 > most:
            raise LimitReached(
                f"a fork into {branches} by a guest with {count} branches already, and it may have "
                f"{most}; raise branches="
            )

    def place(self, group: list[Sequence]) -> None:
        """Have sequences opened by one worker; it may take a while until there is one."""
        request = group[0].origin.request
        with self.lock:
            station = self.roster.station_of(request)
            self._settle_in(group, station)
        while station is None:
            self.check_open()
            worker = self._pool.place(self._tenant)
            with self.lock:
                try:
                    # Others of the request may have found a place meanwhile.
                    station = self.roster.station_of(request) or self._station(worker)
                except BaseException:
                    self._pool.leave(worker)
                    raise
                group = [each for each in group if each.awaited]  # some were closed meanwhile
                if station is None or not group or station.worker is not worker:
                    self._pool.leave(worker)
                else:
                    group[0].placed = worker
                if station is not None:
                    self._settle_in(group, station)
        station.open(group)

    def place_soon(self, group: list[Sequence]) -> None:
        """Do that without waiting for a worker; what goes wrong then fails them."""
        if self._pool.is_ready(self._tenant):
            self.place(group)
        else:
            threading.Thread(target=self._place, args=(group,), name="placing", daemon=True).start()

    def _place(self, group: list[Sequence]) -> None:
        try:
            self.place(group)
        except OnecopyError as error:
            for each in group:
                self.refused(each, error)

    def _settle_in(self, group: list[Sequence], station: Station | None) -> None:
        """Note where sequences live: in time for `Recovery`, should the worker die at once."""
        for each in group:
            if station is None:
                self._leave(each)
            else:
                each.station = station

    def _station(self, worker: WorkerProcess) -> Station | None:
        """Return what a worker is to this batch; None for one that has ended, or if this has.

        The one that it took the place of must have been given up: they have the same slot.
        """

        def alone() -> bool:
            mine = [each for each in self.stations if each.index == worker.index]
            return mine in ([], [worker])

        self._changed.wait_for(lambda: alone() or not worker.alive or self._closed)
        if self._closed or not worker.alive:
            return None
        if worker not in self.stations:
            self.stations[worker] = Station(self, worker)
        return self.stations[worker]

    def opened(self, sequence: Sequence, line: int) -> None:
        """Note that a worker has opened a sequence, or why not: it says so in a line."""
        with self.lock:
            if sequence.awaited:
                self.batch.ledger.opened(sequence, line)
                self._changed.notify_all()

    def refused(self, sequence: Sequence, error: OnecopyError) -> None:
        """Note that a sequence cannot be opened."""
        with self.lock:
            if sequence.awaited:
                self.batch.ledger.fail(sequence, error)
                self._changed.notify_all()

    def wait_for(self, sequence: Sequence, timeout: float | None) -> None:
        """Return when a sequence is ready; see `Sequence.wait`."""
        with self.lock:
            if not self._changed.wait_for(lambda: not sequence.awaited, timeout):
                raise WaitTimeout(f"the sequence was not ready within {timeout:g} seconds")
            if sequence.state == FAILED and sequence.error is not None:
                raise sequence.error

    def wait_until(self, met: Callable[[], bool], seconds: float) -> bool:
        """Wait until something has changed that others note here; return whether it has."""
        with self.lock:
            return self._changed.wait_for(met, max(seconds, 0))

    # ---- steps ----

    def idle(self) -> dict[Station | None, list[Sequence]]:
        """Return the workers that have finished what they were rung for, each with an empty list.

        Rows of sequences that were closed while a worker was late with them are free again.
        """
        found: dict[Station | None, list[Sequence]] = {}
        now = time.monotonic()
        for station in self.stations.values():
            if not station.idle():
                station.check(now)
            else:
                found[station] = []
                while station.freed:
                    self.roster.give_back(station.freed.pop())
        return found

    def bury(self) -> None:
        """Close what lost stations had; for the thread that steps, between steps."""
        while self.graves:
            self.graves.pop().bury()

    # ---- going ----

    def give_up(self, station: Station) -> list[Sequence]:
        """Note that a worker is lost; return the sequences that lived there."""
        with self.lock:
            if self.stations.pop(station.worker, None) is not None:
                self.graves.append(station)
            for row in station.freed:
                self.roster.give_back(row)
            self._changed.notify_all()
            return self.roster.of(station)

    def close_sequence(self, sequence: Sequence) -> None:
        """End a sequence and free its row; see `Sequence.close`."""
        with self.lock:
            if not self.roster.remove(sequence):
                return
            self.batch.ledger.settle(sequence)
            sequence.state = CLOSED
            self._free_row(sequence)
            if sequence.station is not None:
                sequence.station.close_sequence(sequence.number)
            self._leave(sequence)
            self.leave_origin(sequence.origin)
            self._changed.notify_all()

    def leave_origin(self, origin: Origin) -> None:
        """Note that somebody has no use for an origin any more; its windows go with the last."""
        with self.lock:
            origin.users -= 1
            if not origin.users:
                origin.owners = ()
                self.give_back(each.segment for each in origin.windows)

    def give_back(self, segments: Iterable[int]) -> None:
        """End a use of segments; workers close those that nobody has use for."""
        with self.lock:
            for number in self.lender.give_back(segments):
                for station in self.stations.values():
                    station.give_back(number)

    def _free_row(self, sequence: Sequence) -> None:
        station = sequence.station
        late = sequence.asked and station is not None and not station.lost
        if late:
            self.batch.rows.hide(sequence.row)
        self.batch.masks.allow_all(sequence.row)
        if late and station is not None:
            station.freed.append(sequence.row)
        else:
            self.roster.give_back(sequence.row)

    def _leave(self, sequence: Sequence) -> None:
        """Give back its place in the pool, unless another one lives by it."""
        if sequence.placed is None:
            return
        heir = self.roster.heir(sequence)
        if heir is None:
            self._pool.leave(sequence.placed)
        else:
            heir.placed = sequence.placed
        sequence.placed = None

    def close(self) -> None:
        """Close all sequences, and leave the workers."""
        if self._closed:
            return
        with self.lock:
            self._closed = True
            self._changed.notify_all()
            live, stations = list(self.roster), list(self.stations.values())
        for sequence in live:
            self.close_sequence(sequence)
        for station in stations:
            station.close()
        self.bury()
