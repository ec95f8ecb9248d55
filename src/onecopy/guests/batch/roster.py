"""The sequences of a batch that were not closed, and the rows in which none is.

Its caller holds the lock of `Crew`.
"""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from onecopy.errors import LimitReached
from onecopy.guests.batch.sequence import Sequence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.guests.batch.answers import OnFailure
    from onecopy.guests.batch.controllers import Controllers
    from onecopy.guests.batch.history import History
    from onecopy.guests.batch.sequence import Origin
    from onecopy.guests.batch.station import Station


class Roster:
    """Gives rows, the lowest first, and numbers, each once."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._free = list(range(rows))
        self._numbers = itertools.count(1)
        self._live: dict[int, Sequence] = {}

    def __iter__(self) -> Iterator[Sequence]:
        return iter(list(self._live.values()))

    @property
    def free(self) -> int:
        """How many rows are free."""
        return len(self._free)

    def add(
        self, owner: Controllers, origin: Origin, history: History, on_failure: OnFailure
    ) -> Sequence:
        """Give a row to a new sequence.

        Raises:
            LimitReached: there is none.
        """
        if not self._free:
            raise LimitReached(f"all {self._rows} rows are taken; close sequences, or raise batch=")
        row = heapq.heappop(self._free)
        sequence = Sequence(owner, origin, history, row, next(self._numbers), on_failure)
        self._live[sequence.number] = sequence
        return sequence

    def remove(self, sequence: Sequence) -> bool:
        """Strike a sequence out; return whether it was there. Its row is not free by that."""
        return self._live.pop(sequence.number, None) is not None

    def give_back(self, row: int) -> None:
        """Note that a row is free."""
        heapq.heappush(self._free, row)

    def of(self, station: Station) -> list[Sequence]:
        """Return those that live in a worker."""
        return [each for each in self._live.values() if each.station is station]

    def branches(self, root: int) -> int:
        """Return how many there are of the sequence that was opened as `root`."""
        return sum([each.history.root == root for each in self._live.values()])

    def station_of(self, request: str) -> Station | None:
        """Return the worker in which the sequences of a request live, if there is one."""
        for each in self._live.values():
            same = request and each.origin.request == request
            if same and each.station is not None and not each.station.lost:
                return each.station
        return None

    def heir(self, sequence: Sequence) -> Sequence | None:
        """Return one that has no place in the pool of its own, in the worker of this one.

        Branches, and sequences of a request, are one guest to the pool.
        """
        for each in self._live.values():
            if (
                each.station is not None
                and each.station is sequence.station
                and each.placed is None
            ):
                return each
        return None
