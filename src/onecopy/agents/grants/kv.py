"""Values by key that outlive a run: `kv` of the WIT."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from onecopy.agents.calls import BUDGET, INVALID, TOO_LARGE, Refused
from onecopy.agents.grants.arguments import checked
from onecopy.agents.grants.database import Database, count_bytes

if TYPE_CHECKING:
    from onecopy.agents.manifest.grants import KvGrant

KEY_BYTES: Final = 512
VALUE_BYTES: Final = 1 << 20
ROW_BYTES: Final = 64
"""What each key costs beside its bytes, so that no quota holds any number of empty values."""
LISTED_BYTES: Final = 1 << 20
"""The most that a list of keys has."""

Scope = Literal["agent", "conversation"]

_FUNCTIONS: Final = {
    "get": tuple[Scope, str],
    "set": tuple[Scope, str, str],
    "delete": tuple[Scope, str],
    "keys": tuple[Scope, str],
}

# Names, keys and values are UTF-8 as blobs: their lengths are bytes, and no collation is involved.
# The subject is empty for what the agent has for all of its events.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS kv (
    agent BLOB NOT NULL, subject BLOB NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (agent, subject, key)
) WITHOUT ROWID;
"""


class KvDatabase(Database):
    """The file with the values of all agents; one for a server.

        database = KvDatabase(Path("kv.sqlite"))

    Raises:
        InvalidArgument: it cannot be opened, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)


class Kv:
    """The values of one agent, and of one of its conversations (a `Capability`).

        kv = Kv(manifest.grants.kv, database, "code-review", "octo/cat#7")
        await kv.call("set", ["conversation", "greeting", "hello"])

    Args:
        grant: `[grants.kv]` of the manifest.
        database: where the values are.
        agent: whose.
        subject: the event's: the conversation.
    """

    def __init__(self, grant: KvGrant, database: KvDatabase, agent: str, subject: str) -> None:
        self._quota = grant.quota
        self._database = database
        self._agent = agent.encode()
        # A conversation's rows never are the agent's own, also if its subject is empty.
        self._subjects = {"agent": b"", "conversation": b":" + subject.encode()}

    async def call(self, function: str, arguments: list[Any]) -> Any:
        """Carry out `get`, `set`, `delete` or `keys`.

        Raises:
            Refused: `invalid` or `too-large` for a key or a value, `budget` beyond the quota,
                `unavailable` if the file cannot be written.
        """
        scope, *rest = checked(_FUNCTIONS, function, arguments)
        where = (self._agent, self._subjects[scope])
        match function, [each.encode() for each in rest]:
            case "get", [key]:
                return await self._database.run(lambda sql: _get(sql, (*where, _key(key))))
            case "set", [key, value]:
                row = (*where, _key(key), _value(value))
                return await self._database.run(lambda sql: self._set(sql, row))
            case "delete", [key]:
                return await self._database.run(lambda sql: _delete(sql, (*where, _key(key))))
            case _, [prefix]:
                return await self._database.run(lambda sql: _keys(sql, (*where, prefix)))

    def _set(self, sql: sqlite3.Connection, row: tuple[bytes, bytes, bytes, bytes]) -> None:
        _delete(sql, row[:3])
        sql.execute("INSERT INTO kv VALUES (?, ?, ?, ?)", row)
        used = count_bytes(sql, self._agent, ROW_BYTES + len(row[2]) + len(row[3]))
        if used > self._quota:
            raise Refused(
                BUDGET,
                f"this agent would have {used} bytes of keys and values, of {self._quota}; delete "
                "some, or raise quota in [grants.kv] of agent.toml",
            )


def _get(sql: sqlite3.Connection, key: tuple[bytes, ...]) -> str | None:
    query = "SELECT value FROM kv WHERE agent = ? AND subject = ? AND key = ?"
    found = sql.execute(query, key).fetchone()
    return None if found is None else found[0].decode()


def _delete(sql: sqlite3.Connection, key: tuple[bytes, ...]) -> None:
    where = "FROM kv WHERE agent = ? AND subject = ? AND key = ?"
    found = sql.execute(f"SELECT length(value) {where}", key).fetchone()
    if found is not None:
        sql.execute(f"DELETE {where}", key)
        count_bytes(sql, key[0], -(ROW_BYTES + len(key[2]) + found[0]))


def _keys(sql: sqlite3.Connection, prefix: tuple[bytes, ...]) -> list[str]:
    query = (
        "SELECT key FROM kv WHERE agent = ? AND subject = ? AND key >= ?"
        " AND substr(key, 1, ?) = ? ORDER BY key"
    )
    found, room = [], LISTED_BYTES
    for (key,) in sql.execute(query, (*prefix, len(prefix[2]), prefix[2])):
        found.append(key.decode())
        room -= len(key) + 3
        if room < 0:
            raise Refused(TOO_LARGE, "there are too many keys for one list; give a longer prefix")
    return found


def _key(key: bytes) -> bytes:
    if not key:
        raise Refused(INVALID, f"a key is empty; keys have 1 to {KEY_BYTES} bytes of UTF-8")
    if len(key) > KEY_BYTES:
        raise Refused(TOO_LARGE, f"a key has {len(key)} bytes; the most is {KEY_BYTES}")
    return key


def _value(value: bytes) -> bytes:
    if len(value) > VALUE_BYTES:
        raise Refused(TOO_LARGE, f"a value has {len(value)} bytes; the most is {VALUE_BYTES}")
    return value
