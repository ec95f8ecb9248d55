"""The sequences that one worker is opening: in which order, which are open, and until when."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from onecopy.guests.batch import steps
from onecopy.guests.batch.sequence import CLOSED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from onecopy.guests.batch.sequence import Sequence
    from onecopy.guests.batch.steps import Board

REPLAY: Final = 4
"""How much longer than in its step a call may take when it is repeated: the machine is busy."""


class Openings:
    """They are opened one after another, and those of a request together; for one thread."""

    def __init__(self, board: Board, worker: int, guest_seconds: float) -> None:
        self._board = board
        self._worker = worker
        self._call_seconds = REPLAY * guest_seconds
        self._waiting: deque[Sequence] = deque()
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, group: Iterable[Sequence]) -> None:
        """Note that a worker is about to be told to open these."""
        for each in group:
            self._board.words[self.line(each) + steps.OPENED] = 0
            self._waiting.append(each)
        self._restart_clock()

    def line(self, sequence: Sequence) -> int:
        """Return where the worker says how it opened a sequence."""
        return self._board.opening(self._worker, sequence.row)

    def take(self) -> Sequence | None:
        """Return the next one that was opened, or failed to; None if none was."""
        if not self._waiting or not self._is_over(self._waiting[0]):
            return None
        sequence = self._waiting.popleft()
        self._restart_clock()
        return sequence

    def are_late(self) -> bool:
        """Return whether they have had their time."""
        return bool(self._waiting) and time.monotonic() > self._due

    def _is_over(self, first: Sequence) -> bool:
        """Return whether the first of them was opened.

        The row of one that was closed meanwhile is somebody else's, who may have overwritten the
        mark that it was: then those behind it tell. Until they do, the time that it takes counts.
        """
        if self._is_marked(first):
            return True
        return first.state == CLOSED and (
            any(map(self._is_marked, self._waiting))
            or all(each.state == CLOSED for each in self._waiting)
        )

    def _is_marked(self, sequence: Sequence) -> bool:
        return self._board.words[self.line(sequence) + steps.OPENED] == sequence.number

    def _restart_clock(self) -> None:
        call = self._call_seconds
        spans = [3 * each.origin.seconds + call * len(each.history.calls) for each in self._waiting]
        self._due = time.monotonic() + sum(spans) + 1
