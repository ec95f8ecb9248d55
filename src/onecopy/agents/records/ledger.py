"""What agents have used on each day: for budgets, hence known at once and after a restart."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable

from msgspec.structs import astuple

from onecopy.agents.records.run import Totals

DAY = 86400
_COLUMNS = "day, agent, runs, failed, calls, input_tokens, output_tokens, usd"
_NUMBERS = _COLUMNS.split(", ")[2:]
_ADD = (
    f"INSERT INTO totals ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _NUMBERS)
)


def day_of(seconds: float) -> int:
    """The day, in UTC, of a time since 1970."""
    return int(seconds // DAY)


class Ledger:
    """The totals of the days on which something happened since the file was opened.

    What is added is known at once, and owed to the file until somebody writes it there: `take`
    what is owed, `write` it in a transaction, and `put_back` what failed.
    """

    def __init__(self) -> None:
        self._totals: dict[tuple[int, str], Totals] = {}
        self._owed: list[Totals] = []
        self._guard = threading.Lock()

    def load(self, db: sqlite3.Connection, day: int) -> None:
        """Go on with what the file has of `day` and the days around it: clocks are set."""
        rows = db.execute(f"SELECT {_COLUMNS} FROM totals WHERE day >= ?", (day - 2,))
        for row in rows:
            self._totals[row[0], row[1]] = Totals(*row)

    def of(self, day: int, agent: str) -> Totals:
        """The totals of an agent on a day: of the file when it was opened, and what was added."""
        return self._totals.get((day, agent)) or Totals(day, agent)

    def add(self, more: Totals) -> None:
        """Count more."""
        with self._guard:
            self._totals[more.day, more.agent] = _sum(self.of(more.day, more.agent), more)
            self._owed.append(more)

    def take(self) -> list[Totals]:
        """What is owed to the file; it is the caller's from now on."""
        with self._guard:
            owed, self._owed = self._owed, []
        return owed

    def put_back(self, owed: Iterable[Totals]) -> None:
        """Have what could not be written be owed again."""
        with self._guard:
            self._owed.extend(owed)


def write(db: sqlite3.Connection, owed: Iterable[Totals]) -> None:
    """Add to the file's totals; other processes add to them, too."""
    db.executemany(_ADD, map(astuple, owed))


def _sum(one: Totals, other: Totals) -> Totals:
    sums = (getattr(one, name) + getattr(other, name) for name in _NUMBERS)
    return Totals(one.day, one.agent, *sums)
