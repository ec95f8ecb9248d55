"""Who is next: agents in turn, and within one its subjects in turn.

A subject that has just had its turn goes behind all others that wait, so that a pull request with
a thousand comments delays another's by one run. The last turn of an agent lives in memory: after
a restart all begin as equals.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from onecopy.agents.queue.backoff import LONGEST
from onecopy.agents.queue.file import number

_SUBJECT = """
SELECT subject FROM subjects INDEXED BY turns
WHERE agent = ? AND busy = 0 AND (due <= ? OR due > ?) ORDER BY turn LIMIT 1
"""
_NEXT_DUE = """
SELECT min(due) FROM subjects INDEXED BY dues WHERE busy = 0 AND due IS NOT NULL AND agent = ?
"""
_STATE = """
SELECT (SELECT min(due) FROM events WHERE agent = ?1 AND subject = ?2 AND state = 'queued'),
       EXISTS (SELECT 1 FROM events WHERE agent = ?1 AND subject = ?2 AND state = 'running')
"""
_LINE_UP = """
INSERT INTO subjects (agent, subject, turn, due, busy) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT DO UPDATE SET due = ?4, busy = ?5
"""


class Turns:
    """The order in which subjects are served; used by the writer's thread only."""

    def __init__(self) -> None:
        self._last = 0
        self._served: dict[str, int] = {}

    def load(self, db: sqlite3.Connection) -> None:
        """Go on where the file ends; an agent is known once it has had a subject here."""
        self._last = number(db, "SELECT coalesce(max(turn), 0) FROM subjects")
        for (agent,) in db.execute("SELECT DISTINCT agent FROM subjects"):
            self._served.setdefault(agent, 0)

    def line_up(self, db: sqlite3.Connection, agent: str, subject: str) -> None:
        """Bring a subject's row up to date with its events."""
        due, busy = db.execute(_STATE, (agent, subject)).fetchone()
        if due is None and not busy:
            db.execute("DELETE FROM subjects WHERE agent = ? AND subject = ?", (agent, subject))
            return
        self._served.setdefault(agent, self._last)
        self._last += 1
        db.execute(_LINE_UP, (agent, subject, self._last, due, busy))

    def next(
        self, db: sqlite3.Connection, now: float, agents: Collection[str] | None
    ) -> tuple[str, str] | None:
        """The agent and subject that have waited longest since they last had a turn."""
        for agent in self._order(agents):
            row = db.execute(_SUBJECT, (agent, now, now + LONGEST)).fetchone()
            if row is not None:
                return agent, row[0]
        return None

    def _order(self, agents: Collection[str] | None) -> list[str]:
        asked = [each for each in self._served if agents is None or each in agents]
        return sorted(asked, key=self._served.__getitem__)

    def served(self, db: sqlite3.Connection, agent: str, subject: str) -> None:
        """Send an agent and a subject to the end of the line."""
        self._last += 1
        self._served[agent] = self._last
        db.execute(
            "UPDATE subjects SET turn = ? WHERE agent = ? AND subject = ?",
            (self._last, agent, subject),
        )

    def next_due(self, db: sqlite3.Connection, agents: Collection[str] | None) -> float | None:
        """When the next subject of these agents is due that is not busy."""
        dues = [db.execute(_NEXT_DUE, (agent,)).fetchone()[0] for agent in self._order(agents)]
        return min((due for due in dues if due is not None), default=None)
