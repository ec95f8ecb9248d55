"""What agents have used on each day: for budgets, hence known at once and after a restart."""

from __future__ import annotations

import sqlite3
from typing import Any

from msgspec.structs import astuple, replace

from onecopy.agents.records.run import Totals

DAY = 86400
_COLUMNS = "day, agent, runs, failed, calls, input_tokens, output_tokens, usd"


def day_of(seconds: float) -> int:
    """The day, in UTC, of a time since 1970."""
    return int(seconds // DAY)


class Ledger:
    """The totals of the days on which something happened since the file was opened.

    Sums are kept here, and it is sums that are written: where a write fails, the next makes up
    for it. Only the event loop's thread adds.
    """

    def __init__(self) -> None:
        self._totals: dict[tuple[int, str], Totals] = {}

    def load(self, db: sqlite3.Connection, day: int) -> None:
        """Go on with what the file has of `day` and the days around it: clocks are set."""
        rows = db.execute(f"SELECT {_COLUMNS} FROM totals WHERE day >= ?", (day - 2,))
        for row in rows:
            self._totals[row[0], row[1]] = Totals(*row)

    def add(self, day: int, agent: str, **more: float) -> None:
        """Count more of what `Totals` has."""
        now = self.of(day, agent)
        sums: dict[str, Any] = {name: getattr(now, name) + value for name, value in more.items()}
        self._totals[day, agent] = replace(now, **sums)

    def of(self, day: int, agent: str) -> Totals:
        """The totals of an agent on a day."""
        return self._totals.get((day, agent)) or Totals(day, agent)

    def write(self, db: sqlite3.Connection, day: int, agent: str) -> None:
        """Write them; within a transaction."""
        db.execute(
            f"INSERT OR REPLACE INTO totals ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            astuple(self.of(day, agent)),
        )
