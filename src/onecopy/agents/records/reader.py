"""Reading run records, also while a server writes them."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path
from typing import Any, Final

import msgspec

from onecopy.agents.calls import Call, Reply
from onecopy.agents.event import Event
from onecopy.agents.outcome import Outcome
from onecopy.agents.queue.file import reading
from onecopy.agents.queue.newest import newest
from onecopy.agents.queue.trouble import unavailable
from onecopy.agents.records.packing import unpacked
from onecopy.agents.records.run import CALL, Called, Item, Run, Summary, Tail, Totals
from onecopy.agents.records.schema import SCHEMA

_SUMMARY: Final = (
    "id, event, agent, trigger, kind, subject, attempt, started, ended, status, calls, "
    "input_tokens, output_tokens, usd"
)
_ITEM: Final = "seq, sort, at, seconds, name, error, size"
_called = msgspec.json.Decoder(tuple[Call, Reply])
Rows = list[Any]


class Reader:
    """Reads; a thread may ask at a time.

    Raises:
        QueueUnavailable: from all functions, if the file cannot be read.

    Example:
        >>> for summary in Reader("data/records.db").runs(agent="bot", limit=10): ...
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._lock = threading.Lock()
        self._db = reading(self._path, SCHEMA)

    def runs(
        self,
        agent: str | None = None,
        status: str | None = None,
        event: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[Summary]:
        """The newest runs; `before` is the id of the last one of the page before."""
        wanted = {"agent": agent, "status": status, "event": event}
        statement, values = newest(_SUMMARY, "runs", "n", wanted, before, limit)
        rows = self._rows(statement, *values)
        return [Summary(*row) for row in rows]

    def run(self, run: str) -> Run | None:
        """All of a run, or None."""
        rows = self._rows(
            f"SELECT n, component, seed, time_ns, given, outcome, inexact, {_SUMMARY} "
            "FROM runs WHERE id = ?", run,
        )  # fmt: skip
        if not rows:
            return None
        n, component, seed, time_ns, given, outcome, inexact, *summary = rows[0]
        items = self._rows(f"SELECT {_ITEM}, body FROM items WHERE run = ? ORDER BY seq", n)
        return Run(
            Summary(*summary),
            msgspec.json.decode(unpacked(given), type=Event),
            component, seed, time_ns,
            [_call(row) for row in items if row[1] == CALL and row[-1] is not None],
            [_item(row) for row in items],
            None if outcome is None else msgspec.json.decode(unpacked(outcome), type=Outcome),
            inexact,
        )  # fmt: skip

    def tail(self, run: str, after: int = 0, limit: int = 1000) -> Tail | None:
        """What came after item `after` of a run; None if there is no such run."""
        # The status first: a run that has ended by then has no items after those that follow.
        rows = self._rows("SELECT n, status, started FROM runs WHERE id = ?", run)
        if not rows:
            return None
        n, status, started = rows[0]
        items = self._rows(
            f"SELECT {_ITEM}, CASE sort WHEN 'call' THEN NULL ELSE body END FROM items "
            "WHERE run = ? AND seq > ? ORDER BY seq LIMIT ?", n, after, limit,
        )  # fmt: skip
        return Tail([_item(row) for row in items], status, started)

    def totals(self, agent: str | None = None, since: int = 0) -> list[Totals]:
        """What agents have used on each day from `since` on, newest first."""
        where, values = ("", ()) if agent is None else (" AND agent = ?", (agent,))
        rows = self._rows(
            "SELECT day, agent, runs, failed, calls, input_tokens, output_tokens, usd FROM totals "
            f"WHERE day >= ?{where} ORDER BY day DESC, agent", since, *values,
        )  # fmt: skip
        return [Totals(*row) for row in rows]

    def backup(self, path: Path) -> None:
        """Write a copy of the file as it is now, without its empty pages."""
        self._rows("VACUUM INTO ?", str(path))

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._db.close()

    def _rows(self, statement: str, *values: Any) -> Rows:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise unavailable(self._path, error) from error


def _call(row: Rows) -> Called:
    call, reply = _called.decode(unpacked(row[-1]))
    return Called(call, reply, row[2], row[3])


def _item(row: Rows) -> Item:
    sort, body = row[1], row[-1]
    value = None if body is None or sort == CALL else msgspec.json.decode(unpacked(body))
    return Item(*row[:-1], value)  # type: ignore[call-arg]
