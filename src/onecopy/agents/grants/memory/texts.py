"""The texts of memory with their vectors, on disk, and their way into the store."""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.agents.calls import BUDGET, Refused
from onecopy.agents.grants.database import Database, count_bytes
from onecopy.agents.grants.memory.segments import ROWS, Segment, Segments

if TYPE_CHECKING:
    import numpy as np

ROW_BYTES: Final = 128
"""What each text costs beside its bytes and its vector's."""

# Numbers are never used again; a segment's version is another one after each change of its texts.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS texts (
    owner BLOB NOT NULL, number INTEGER NOT NULL, hash BLOB NOT NULL,
    text TEXT NOT NULL, metadata TEXT NOT NULL, model TEXT NOT NULL, vector BLOB NOT NULL,
    PRIMARY KEY (owner, number)
);
CREATE UNIQUE INDEX IF NOT EXISTS texts_hash ON texts (owner, hash);
CREATE INDEX IF NOT EXISTS texts_model ON texts (owner, model);
CREATE TABLE IF NOT EXISTS owners (owner BLOB PRIMARY KEY, next INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS segments (
    owner BLOB NOT NULL, number INTEGER NOT NULL, version INTEGER NOT NULL,
    PRIMARY KEY (owner, number)
) WITHOUT ROWID;
"""


class Hit(msgspec.Struct, frozen=True):
    """A text that was found: the record `hit` of the WIT."""

    id: str
    text: str
    metadata: str
    score: float


class MemoryDatabase(Database):
    """The file with the texts of all agents; one for a server.

        database = MemoryDatabase(Path("memory.sqlite"))

    Raises:
        InvalidArgument: it cannot be opened, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)


class Collection:
    """One collection of one agent; its functions are for `Database.run`.

    Args:
        agent: whose.
        name: of the collection.
        segments: in the store.
    """

    def __init__(self, agent: str, name: str, segments: Segments) -> None:
        self._agent = agent.encode()
        # A name has no NUL: no two collections have one owner.
        self._owner = self._agent + b"\0" + name.encode()
        self._segments = segments

    def find(self, sql: sqlite3.Connection, text: str, metadata: str) -> str | None:
        """Return the id of a text that is there already."""
        query = "SELECT number FROM texts WHERE owner = ? AND hash = ?"
        found = sql.execute(query, (self._owner, _hash(text, metadata))).fetchone()
        return None if found is None else str(found[0])

    def add(
        self,
        sql: sqlite3.Connection,
        text: str,
        metadata: str,
        model: str,
        vector: bytes,
        quota: int,
    ) -> str:
        """Add a text, and return its id.

        Raises:
            Refused: `budget`: the agent would have more than its quota.
        """
        found = self.find(sql, text, metadata)
        if found is not None:
            return found
        number = self._next(sql)
        row = (self._owner, number, _hash(text, metadata), text, metadata, model, vector)
        sql.execute("INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        used = count_bytes(sql, self._agent, _size(text, metadata, vector))
        if used > quota:
            raise Refused(
                BUDGET,
                f"this agent would have {used} bytes of memory, of {quota}; forget some texts, or "
                "raise quota in [grants.memory] of agent.toml",
            )
        self._changed(sql, number // ROWS)
        return str(number)

    def _next(self, sql: sqlite3.Connection) -> int:
        sql.execute("INSERT INTO owners VALUES (?, 0) ON CONFLICT DO NOTHING", (self._owner,))
        sql.execute("UPDATE owners SET next = next + 1 WHERE owner = ?", (self._owner,))
        query = "SELECT next FROM owners WHERE owner = ?"
        found: int = sql.execute(query, (self._owner,)).fetchone()[0]
        return found

    def _changed(self, sql: sqlite3.Connection, index: int) -> None:
        # A counter would find entries of another file, such as one that was deleted since.
        sql.execute(
            "INSERT INTO segments VALUES (?, ?, ?)"
            " ON CONFLICT DO UPDATE SET version = excluded.version",
            (self._owner, index, secrets.randbits(62)),
        )

    def forget(self, sql: sqlite3.Connection, number: int) -> bool:
        """Forget a text; say whether there was one."""
        key = (self._owner, number)
        where = "FROM texts WHERE owner = ? AND number = ?"
        found = sql.execute(f"SELECT text, metadata, vector {where}", key).fetchone()
        if found is None:
            return False
        sql.execute(f"DELETE {where}", key)
        count_bytes(sql, self._agent, -_size(*found))
        self._changed(sql, number // ROWS)
        return True

    def stale(self, sql: sqlite3.Connection, model: str, count: int) -> list[tuple[int, str]]:
        """Return texts whose vectors are of another model, with their numbers."""
        # Of `<>` no index would be used: each search would read all texts.
        found: list[tuple[int, str]] = []
        for other in ("<", ">"):
            query = f"SELECT number, text FROM texts WHERE owner = ? AND model {other} ? LIMIT ?"
            found += sql.execute(query, (self._owner, model, count - len(found))).fetchall()
        return found

    def refresh(
        self, sql: sqlite3.Connection, model: str, vectors: list[tuple[int, bytes]]
    ) -> None:
        """Give texts new vectors."""
        sql.executemany(
            "UPDATE texts SET model = ?, vector = ? WHERE owner = ? AND number = ?",
            [(model, vector, self._owner, number) for number, vector in vectors],
        )
        for index in {number // ROWS for number, _ in vectors}:
            self._changed(sql, index)

    def search(self, sql: sqlite3.Connection, query: np.ndarray[Any, Any], count: int) -> list[Hit]:
        """Return the texts that are nearest to a vector, the best first."""
        listed = "SELECT number, version FROM segments WHERE owner = ?"
        near: list[tuple[float, int]] = []
        for index, version in sql.execute(listed, (self._owner,)).fetchall():
            segment = self._segment(sql, index, version)
            if segment is not None:
                near += segment.nearest(query, count)
        near.sort(key=lambda each: (-each[0], each[1]))
        return [self._hit(sql, score, number) for score, number in near[:count]]

    def _segment(self, sql: sqlite3.Connection, index: int, version: int) -> Segment | None:
        found = self._segments.find(self._owner, index, version)
        if found is not None:
            return found
        where = (self._owner, index * ROWS, (index + 1) * ROWS)
        query = "SELECT number, vector FROM texts WHERE owner = ? AND number >= ? AND number < ?"
        rows = sql.execute(query, where).fetchall()
        if not rows:
            sql.execute("DELETE FROM segments WHERE owner = ? AND number = ?", where[:2])
            self._segments.drop(self._owner, index)
            return None
        segment = Segment.of(version, rows)
        self._segments.put(self._owner, index, segment)
        return segment

    def _hit(self, sql: sqlite3.Connection, score: float, number: int) -> Hit:
        query = "SELECT text, metadata FROM texts WHERE owner = ? AND number = ?"
        text, metadata = sql.execute(query, (self._owner, number)).fetchone()
        return Hit(str(number), text, metadata, score)


def _hash(text: str, metadata: str) -> bytes:
    return hashlib.sha256(f"{len(text)}:{text}{metadata}".encode()).digest()


def _size(text: str, metadata: str, vector: bytes) -> int:
    return ROW_BYTES + len(text.encode()) + len(metadata.encode()) + len(vector)
