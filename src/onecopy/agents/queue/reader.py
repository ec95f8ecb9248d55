"""Reading the file of events, also while a server writes it."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any, Final

import msgspec

from onecopy.agents.queue.file import reading
from onecopy.agents.queue.newest import newest
from onecopy.agents.queue.schema import SCHEMA, STATES
from onecopy.agents.queue.trouble import unavailable

_COLUMNS: Final = (
    "id, agent, trigger, kind, subject, delivery, state, attempt, attempts, received, due, "
    "started, ended, successor, why"
)


class Entry(msgspec.Struct, frozen=True):
    """An event as a person sees it; times are seconds since 1970."""

    id: str
    agent: str
    trigger: str
    kind: str
    subject: str
    delivery: str
    state: str
    attempt: int
    """The attempts that have begun."""
    attempts: int
    received: float
    due: float
    """Of a queued one: it is not run before; 0 for at once."""
    started: float | None
    ended: float | None
    successor: str | None
    """The event that superseded it."""
    why: str
    """What its run returned, or why it failed, at most 4,000 characters."""


Entries = list[Entry]
Rows = list[Any]


class Reader:
    """Reads; a thread may ask at a time.

    Raises:
        QueueUnavailable: from all functions, if the file cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._db = reading(self._path, SCHEMA)

    def counts(self, agent: str | None = None) -> dict[str, int]:
        """How many events each state has."""
        # By state, each of which has an index; without an agent no row is touched.
        where, values = ("", ()) if agent is None else (" AND agent = ?", (agent,))
        return {
            state: self._rows(f"SELECT count(*) FROM events WHERE {term}{where}", values)[0][0]
            for state, term in zip(STATES, map(_term, STATES), strict=True)
        }

    def list(
        self,
        state: str | None = None,
        agent: str | None = None,
        subject: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> Entries:
        """The newest events; `before` is the id of the last one of the page before."""
        wanted = {"state": state, "agent": agent, "subject": subject}
        rows = self._rows(*newest(_COLUMNS, "events", "seq", wanted, before, limit))
        return [Entry(*row) for row in rows]

    def get(self, event: str) -> Entry | None:
        """One event, or None."""
        rows = self._rows(f"SELECT {_COLUMNS} FROM events WHERE id = ?", (event,))
        return Entry(*rows[0]) if rows else None

    def oldest(self) -> float | None:
        """When the oldest of the waiting events came."""
        found: float | None = self._rows(
            "SELECT min(received) FROM events WHERE state = 'queued'", ()
        )[0][0]
        return found

    def backup(self, path: Path) -> None:
        """Write a copy of the file as it is now, without its empty pages."""
        self._rows("VACUUM INTO ?", (str(path),))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _rows(self, statement: str, values: Any) -> Rows:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise unavailable(self._path, error) from error


def _term(state: str) -> str:
    """A condition that the index of `state` serves."""
    return f"state = '{state}'" + ("" if state in ("queued", "running") else
                                   " AND ended IS NOT NULL")  # fmt: skip
