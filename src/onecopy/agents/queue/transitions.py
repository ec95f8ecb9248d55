"""What happens to events: each function is a part of one transaction."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Collection
from typing import Any, NamedTuple

import msgspec

from onecopy.agents.event import Event
from onecopy.agents.queue import backoff
from onecopy.agents.queue.coalescing import class_of
from onecopy.agents.queue.schema import DEAD, QUEUED, SUPERSEDED
from onecopy.agents.queue.submission import DUPLICATE, NEW, REVIVED, Accepted, Submission, key
from onecopy.agents.queue.turns import Turns

_body = msgspec.json.Decoder(tuple[dict[str, str], Any])
WHY = 4000  # characters that are kept of a reason; the run's record has all
CHUNK = 200  # rows that are deleted in one transaction

_INSERT = """
INSERT INTO events (id, agent, trigger, kind, subject, class, delivery, state, attempts, received)
VALUES (?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)
"""
_SUPERSEDE = """
UPDATE events SET state = 'superseded', ended = ?1, successor = newest.id
FROM (SELECT id, seq FROM events WHERE agent = ?2 AND subject = ?3 AND class = ?4
      AND state = 'queued' ORDER BY seq DESC LIMIT 1) AS newest
WHERE agent = ?2 AND subject = ?3 AND class = ?4 AND state = 'queued' AND events.seq < newest.seq
"""
_HEAD = """
SELECT seq, id, agent, trigger, kind, subject, attempt, received, body
FROM events LEFT JOIN bodies USING (seq)
WHERE agent = ? AND subject = ? AND state = 'queued' ORDER BY due, seq LIMIT 1
"""
_BEGIN = "UPDATE events SET state = 'running', attempt = attempt + 1, started = ? WHERE seq = ?"
_FIND = (
    "SELECT seq, agent, subject, class, attempt, attempts FROM events WHERE id = ? AND state = ?"
)
_END = "UPDATE events SET state = ?, ended = ?, why = ? WHERE seq = ?"
_REQUEUE = """
UPDATE events SET state = 'queued', due = ?, attempt = ?, why = ?, ended = NULL WHERE seq = ?
"""

# Its last attempt began later than now: it waits from now on, as long as it was to.
_WAIT_ANEW = """
UPDATE events SET due = ?1 + min(due - started, ?2), started = ?1
WHERE state = 'queued' AND due > 0 AND started > ?1 RETURNING agent, subject
"""


class Found(NamedTuple):
    """What a transition needs to know of an event."""

    seq: int
    agent: str
    subject: str
    sort: str
    attempt: int
    attempts: int


class Recovered(NamedTuple):
    """What became of events that ran when the file was last closed, or the machine went down."""

    queued: int
    dead: int
    superseded: int


def put(
    db: sqlite3.Connection,
    turns: Turns,
    now: float,
    submission: Submission,
    body: bytes,
    delivery: str,
    body_hash: str | None,
) -> Accepted:
    """Insert an event, or say of which it is a duplicate."""
    by_delivery = key("delivery", submission, delivery)
    by_body = by_delivery if body_hash is None else key("body", submission, body_hash)
    known, same = _seen(db, by_delivery), _seen(db, by_body)
    if known is None and same is None:
        return _insert(db, turns, now, submission, body, delivery, {by_delivery, by_body})
    # Not by another delivery's body: ids are not signed, and would revive any event.
    if known is not None and known == same and revive(db, turns, now, known):
        return Accepted(known, REVIVED)
    return Accepted(known or same or "", DUPLICATE)


def delivered(db: sqlite3.Connection, submission: Submission, delivery: str) -> bool:
    """Whether this delivery has come before."""
    return _seen(db, key("delivery", submission, delivery)) is not None


def _seen(db: sqlite3.Connection, hashed: bytes) -> str | None:
    row = db.execute("SELECT event FROM seen WHERE key = ?", (hashed,)).fetchone()
    return None if row is None else row[0]


def _insert(
    db: sqlite3.Connection,
    turns: Turns,
    now: float,
    submission: Submission,
    body: bytes,
    delivery: str,
    keys: set[bytes],
) -> Accepted:
    event, sort = new_id(now), class_of(submission)
    seq = db.execute(
        _INSERT,
        (event, submission.agent, submission.trigger, submission.kind, submission.subject, sort,
         delivery, submission.attempts, now),
    ).lastrowid  # fmt: skip
    db.execute("INSERT INTO bodies VALUES (?, ?)", (seq, body))
    for each in keys:
        db.execute("INSERT INTO seen (key, event, received) VALUES (?, ?, ?)", (each, event, now))
    _line_up(db, turns, now, submission.agent, submission.subject, sort)
    return Accepted(event, NEW)


def new_id(now: float) -> str:
    """Unique also across queues and backups: effects in the world are marked with it."""
    return f"{int(now * 1000):012x}{secrets.token_hex(5)}"


def _line_up(
    db: sqlite3.Connection, turns: Turns, now: float, agent: str, subject: str, sort: str
) -> int:
    """After an event began to wait: keep the newest of its class, put its subject in line."""
    gone = 0
    if sort:
        gone = db.execute(_SUPERSEDE, (now, agent, subject, sort)).rowcount
    turns.line_up(db, agent, subject)
    return gone


def take(
    db: sqlite3.Connection, turns: Turns, now: float, agents: Collection[str] | None
) -> tuple[Any, ...] | None:
    """Begin the next event that is due: its row, with the attempt that begins."""
    subject = turns.next(db, now, agents)
    if subject is None:
        return None
    seq, *row = db.execute(_HEAD, subject).fetchone()
    db.execute(_BEGIN, (now, seq))
    turns.served(db, *subject)
    turns.line_up(db, *subject)
    row[5] += 1
    return tuple(row)


def event_of(row: tuple[Any, ...]) -> Event:
    """The event of a row that `take` gave; `msgspec.MsgspecError` if its body is damaged."""
    event, agent, trigger, kind, subject, attempt, received, body = row
    fields, payload = _body.decode(body or b"")
    return Event(id=event, agent=agent, trigger=trigger, kind=kind, subject=subject, fields=fields,
                 payload=payload, attempt=attempt, received=received)  # fmt: skip


def end(
    db: sqlite3.Connection,
    turns: Turns,
    now: float,
    event: str,
    state: str,
    why: str,
    was: Collection[str],
) -> bool:
    """Have an event end as `state`; False if it is in none of the states `was`."""
    found = _find(db, event, was)
    if found is None:
        return False
    db.execute(_END, (state, now, why[:WHY], found.seq))
    turns.line_up(db, found.agent, found.subject)
    return True


def retry(
    db: sqlite3.Connection, turns: Turns, now: float, event: str, why: str, delay: float | None
) -> str | None:
    """Have an event wait for its next attempt: its new state; None if it does not run."""
    found = _find(db, event, ("running",))
    if found is None:
        return None
    if found.attempt >= found.attempts:
        return DEAD if end(db, turns, now, event, DEAD, why, ("running",)) else None
    wait = backoff.delay(event, found.attempt) if delay is None else backoff.bounded(delay)
    due = now + wait if wait else 0.0
    return _requeue(db, turns, now, found, due, found.attempt, why)


def release(db: sqlite3.Connection, turns: Turns, now: float, event: str) -> str | None:
    """Have a running event wait as if its attempt had not begun."""
    found = _find(db, event, ("running",))
    if found is None:
        return None
    return _requeue(db, turns, now, found, 0.0, found.attempt - 1, "")


def revive(db: sqlite3.Connection, turns: Turns, now: float, event: str) -> bool:
    """Have a dead event wait for a new first attempt; False if it is not dead."""
    found = _find(db, event, (DEAD,))
    if found is None:
        return False
    _requeue(db, turns, now, found, 0.0, 0, "")
    return True


def recover(db: sqlite3.Connection, turns: Turns, now: float) -> Recovered:
    """Have what ran when the file was last in use wait again; its attempt counts."""
    rows = db.execute("SELECT id, attempt, attempts FROM events WHERE state = 'running'").fetchall()
    states = []
    for event, attempt, attempts in rows:
        why = f"its server ended during attempt {attempt} of {attempts}"
        states.append(retry(db, turns, now, event, why, 0.0))
    return Recovered(*(states.count(each) for each in (QUEUED, DEAD, SUPERSEDED)))


def set_back(db: sqlite3.Connection, turns: Turns, now: float) -> None:
    """After the clock was set back: nothing waits longer for its next attempt than it was to."""
    for subject in set(db.execute(_WAIT_ANEW, (now, backoff.LONGEST)).fetchall()):
        turns.line_up(db, *subject)


def _requeue(
    db: sqlite3.Connection,
    turns: Turns,
    now: float,
    found: Found,
    due: float,
    attempt: int,
    why: str,
) -> str:
    db.execute(_REQUEUE, (due, attempt, why[:WHY], found.seq))
    _line_up(db, turns, now, found.agent, found.subject, found.sort)
    row: tuple[str] = db.execute("SELECT state FROM events WHERE seq = ?", (found.seq,)).fetchone()
    return row[0]


def _find(db: sqlite3.Connection, event: str, states: Collection[str]) -> Found | None:
    for state in states:
        row = db.execute(_FIND, (event, state)).fetchone()
        if row is not None:
            return Found(*row)
    return None


def purge(db: sqlite3.Connection, ended: float, received: float) -> bool:
    """Delete some events that ended before `ended`, and deliveries older than `received`.

    Returns whether there may be more.
    """
    old = db.execute(
        "SELECT seq FROM events WHERE state IN ('done', 'dead', 'superseded') AND ended < ? "
        "LIMIT ?",
        (ended, CHUNK),
    ).fetchall()
    for table in ("bodies", "events"):
        db.executemany(f"DELETE FROM {table} WHERE seq = ?", old)
    # The oldest come first: they were inserted in order of time.
    forgotten = db.execute(
        "DELETE FROM seen WHERE n IN (SELECT n FROM seen ORDER BY n LIMIT ?) AND received < ?",
        (CHUNK, received),
    ).rowcount
    return max(len(old), forgotten) == CHUNK
