"""The database itself writes down each change of a state, in the transaction that makes it."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from contextlib import closing
from pathlib import Path

ARROWS = {
    (None, "queued"), ("queued", "running"), ("running", "done"), ("running", "dead"),
    ("running", "queued"), ("queued", "superseded"), ("queued", "dead"), ("dead", "queued"),
}  # fmt: skip
ENDS = ("done", "dead", "superseded")

_WATCH = """
CREATE TABLE changes (n INTEGER PRIMARY KEY, event TEXT, old TEXT, new TEXT);
CREATE TRIGGER began AFTER INSERT ON events
BEGIN INSERT INTO changes (event, old, new) VALUES (new.id, NULL, new.state); END;
CREATE TRIGGER changed AFTER UPDATE OF state ON events
BEGIN INSERT INTO changes (event, old, new) VALUES (new.id, old.state, new.state); END;
"""


def watch(path: Path) -> None:
    """Have all changes of this file written down from now on."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(_WATCH)


def check(path: Path) -> dict[str, list[str]]:
    """Check the file and all changes; return the states that each event has gone through."""
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        paths: dict[str, list[str]] = defaultdict(list)
        for event, old, new in db.execute("SELECT event, old, new FROM changes ORDER BY n"):
            if old != new:
                assert (old, new) in ARROWS, f"{event} went from {old} to {new}"
                paths[event].append(new)
        states = dict(db.execute("SELECT id, state FROM events"))
        assert states == {event: path[-1] for event, path in paths.items()}
        _check_subjects(db)
    return paths


def _check_subjects(db: sqlite3.Connection) -> None:
    """What is derived is as it would be if it were derived now; one runs of each at most."""
    derived = db.execute(
        "SELECT agent, subject, min(CASE state WHEN 'queued' THEN due END), "
        "sum(state = 'running') FROM events WHERE state IN ('queued', 'running') "
        "GROUP BY agent, subject ORDER BY agent, subject"
    ).fetchall()
    assert all(busy in (0, 1) for *_, busy in derived)
    kept = db.execute(
        "SELECT agent, subject, due, busy FROM subjects ORDER BY agent, subject"
    ).fetchall()
    assert kept == derived
    waiting = db.execute(
        "SELECT max(n) FROM (SELECT count(*) AS n FROM events WHERE state = 'queued' "
        "AND class != '' GROUP BY agent, subject, class)"
    ).fetchone()[0]
    assert waiting in (None, 1)
