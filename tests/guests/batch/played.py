"""A station that a test plays: what it is rung for is answered by the test."""

from __future__ import annotations

import os
from typing import Any

from onecopy.guests.batch import steps

FLAGS = os.EFD_CLOEXEC | os.EFD_NONBLOCK


class Played:
    """What a round sees of a station; the test answers in its place."""

    def __init__(self, slot: int, board: Any) -> None:
        self.slot, self.words = slot, board.words
        self.bell, self.done = os.eventfd(0, FLAGS), os.eventfd(0, FLAGS)
        self.lost = False
        self.freed: list[int] = []

    def idle(self) -> bool:
        return self.words[self.slot] == self.words[self.slot + steps.FINISHED]

    def ring(self, now: float) -> None:
        os.eventfd_write(self.bell, 1)

    def check(self, now: float) -> None:
        pass

    def rows(self) -> list[int]:
        """The rows that it was rung for."""
        os.eventfd_read(self.bell)
        start = self.slot + steps.ROWS
        return self.words[start : start + self.words[self.slot + steps.COUNT]].tolist()

    def end(self) -> None:
        self.words[self.slot + steps.FINISHED] = self.words[self.slot]
        os.eventfd_write(self.done, 1)

    def close_sequence(self, number: int) -> None:
        pass

    def close(self) -> None:
        os.close(self.bell)
        os.close(self.done)
