"""Deleting old records, a few at a time, and what becomes of those that nobody ends."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection

import msgspec

from onecopy.agents.outcome import LOST, Outcome
from onecopy.agents.queue.file import number
from onecopy.agents.queue.writer import Writer
from onecopy.agents.records.packing import packed

_LOST = """
UPDATE runs SET status = ?, ended = ?, outcome = ?, inexact = ? WHERE ended IS NULL AND owner = ?
"""
RUNS = 20  # of one transaction
PAGES = 500  # that are given back to the disk in one


async def purge(writer: Writer, before: float, agents: Collection[str] | None) -> None:
    """Delete runs that began before a time, of these agents, and give their room back."""

    def act(db: sqlite3.Connection) -> bool:
        return _some(db, before, agents)

    while await asyncio.shield(writer.submit(act)):
        pass


def _some(db: sqlite3.Connection, before: float, agents: Collection[str] | None) -> bool:
    chosen, values = "", []
    if agents is not None:
        values = list(agents)
        chosen = f"AND agent IN ({', '.join('?' * len(values))})"
    rows = db.execute(
        f"SELECT n FROM runs WHERE started < ? AND ended IS NOT NULL {chosen} ORDER BY n LIMIT ?",
        (before, *values, RUNS),
    ).fetchall()
    for row in rows:
        db.execute("DELETE FROM items WHERE run = ?", row)
        db.execute("DELETE FROM runs WHERE n = ?", row)
    return _given_back(db) or len(rows) == RUNS


def _given_back(db: sqlite3.Connection) -> bool:
    """Cut some empty pages off the file; whether there are more."""
    empty = number(db, "PRAGMA freelist_count")
    for _ in range(min(empty, PAGES)):
        # One at a time: sqlite3 takes a single step of this, and each step cuts off one.
        db.execute("PRAGMA incremental_vacuum(1)")
    return empty > PAGES


def lose(db: sqlite3.Connection, now: float, lives: Callable[[int], bool]) -> None:
    """Say of runs whose process has ended that they are lost."""
    outcome = packed(msgspec.json.encode(Outcome(LOST, "its process ended")))
    for (owner,) in db.execute("SELECT DISTINCT owner FROM runs WHERE ended IS NULL").fetchall():
        if not lives(owner):
            db.execute(_LOST, (LOST, now, outcome, "its process ended before it", owner))
