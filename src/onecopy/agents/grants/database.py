"""An SQLite file of the host's own, in which capabilities keep what outlives a run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from onecopy.agents.calls import UNAVAILABLE, Refused
from onecopy.errors import InvalidArgument

_T = TypeVar("_T")
_WAIT_SECONDS: Final = 10.0
"""For another process that writes into the same file."""
_USED: Final = """
CREATE TABLE IF NOT EXISTS used (agent BLOB PRIMARY KEY, nbytes INTEGER NOT NULL) WITHOUT ROWID;
"""


class Database:
    """One connection, used by one thread of its own; what is written is on the disk at once.

        database = Database(Path("kv.sqlite"), "CREATE TABLE IF NOT EXISTS t (a INTEGER)")
        await database.run(lambda sql: sql.execute("SELECT count(*) FROM t").fetchone())
        database.close()

    Args:
        path: the file; it is created, for this user alone.
        schema: statements that may be repeated.

    Raises:
        InvalidArgument: it cannot be opened, or is no such file.
    """

    def __init__(self, path: Path, schema: str) -> None:
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._sql = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._sql.executescript(
                f"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; {_USED} {schema}"
            )
        except (OSError, sqlite3.Error) as error:
            raise InvalidArgument(f"{path} cannot be used as a data base: {error}") from error
        self._path = path
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="onecopy-sqlite")

    async def run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Run `work` as one transaction, of which nothing is left if it fails; return its result.

        Raises:
            Refused: by `work`, or the file cannot be written, as on a full disk.
        """
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._whole, work)

    def _whole(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            self._sql.execute("BEGIN IMMEDIATE")
            found = work(self._sql)
            self._sql.execute("COMMIT")
            return found
        except sqlite3.Error as error:
            raise Refused(UNAVAILABLE, f"{self._path.name} cannot be used: {error}") from error
        finally:
            if self._sql.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._sql.execute("ROLLBACK")

    def close(self) -> None:
        """Wait for what is under way, and close the file; twice is fine."""
        self._thread.shutdown()
        self._sql.close()


def count_bytes(sql: sqlite3.Connection, agent: bytes, nbytes: int) -> int:
    """Add to what an agent has in this file, and return that."""
    sql.execute("INSERT INTO used VALUES (?, 0) ON CONFLICT DO NOTHING", (agent,))
    sql.execute("UPDATE used SET nbytes = nbytes + ? WHERE agent = ?", (nbytes, agent))
    found: int = sql.execute("SELECT nbytes FROM used WHERE agent = ?", (agent,)).fetchone()[0]
    return found
