"""An SQLite file of ours: its marks, its version, and how it is opened."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import NamedTuple

from onecopy.agents.queue.lock import Lock, Seat
from onecopy.agents.queue.trouble import checked_folder, unavailable
from onecopy.errors import QueueUnavailable

PATIENCE = 5.0  # seconds that another program, such as a backup, may hold the file locked
WAL_KEPT = 32 << 20  # bytes of the log that stay: to write over them is quicker than to grow
WAL_PAGES = 8_000  # after which a commit waits for a checkpoint (checkpoints.py)
CACHE = 2 << 20  # bytes of pages in memory; SQLite's default
RESERVE = 4 << 20  # bytes that the log has from the beginning: ends of runs fit on a full disk
log = logging.getLogger(__name__)
_SETTINGS = (
    f"cache_size = -{CACHE >> 10}",
    "auto_vacuum = INCREMENTAL",  # of a new file: deleting gives back
    "journal_mode = WAL",
    f"journal_size_limit = {WAL_KEPT}",
    f"wal_autocheckpoint = {WAL_PAGES}",
)


class Schema(NamedTuple):
    """What a kind of file is made of."""

    what: str
    mark: int
    """Its `application_id`, so that no other program's file is taken for one."""
    steps: tuple[str, ...]
    """Statements that make version n + 1 of version n; `user_version` counts them."""


class File:
    """A file that this process writes; anyone may read it meanwhile.

    Raises:
        QueueUnavailable: another process has its only `Lock`, or it cannot be made.
    """

    def __init__(
        self, path: Path, schema: Schema, synchronous: str, beside: type[Lock | Seat] = Lock
    ) -> None:
        checked_folder(path)
        self.path = path
        self._schema = schema
        self._synchronous = synchronous
        self._is: tuple[int, int] | None = None
        self.beside = beside(path)

    def connect(self) -> sqlite3.Connection:
        """A connection for the writer's thread; the file is made or brought up to date.

        Raises:
            sqlite3.Error: as SQLite says.
            QueueUnavailable: another program's file, or one of a newer version.
        """
        # Not to be made here: a file that has gone is a trouble, not a beginning.
        db = _connection(_uri(self.path, "rw"))
        try:
            self._is = _identity(self.path)
            with self.beside.alone():
                _check(db, self.path, self._schema)
                for setting in (f"synchronous = {self._synchronous}", *_SETTINGS):
                    db.execute(f"PRAGMA {setting}")
                _update(db, self._schema)
        except BaseException:
            db.close()
            raise
        return db

    def reserve(self, db: sqlite3.Connection) -> None:
        """Have the log be of some size before it is needed; on a full disk it stays as it is."""
        wal = self.path.with_name(self.path.name + "-wal")
        if wal.exists() and wal.stat().st_size >= RESERVE:
            return
        db.execute("BEGIN IMMEDIATE")
        try:
            # What is too large for the cache goes to the log before it is committed, or not.
            db.execute(f"CREATE TABLE reserve AS SELECT zeroblob({RESERVE + CACHE})")
        except sqlite3.OperationalError as error:
            log.debug("%s: its log has no reserve: %s", self.path, error)
        if db.in_transaction:
            db.execute("ROLLBACK")

    def connect_beside(self) -> sqlite3.Connection:
        """Another connection, for checkpoints."""
        db = _connection(_uri(self.path, "rw"))
        db.execute("PRAGMA synchronous = FULL")
        return db

    def check_place(self) -> None:
        """See that what is written is still at its path: SQLite would go on without.

        Raises:
            QueueUnavailable: the file has been removed or replaced.
        """
        if _identity(self.path) != self._is:
            raise QueueUnavailable(
                f"{self.path}: it has been removed or replaced while in use; restart the server"
            )

    def close(self) -> None:
        """Let another process open it."""
        self.beside.close()


def reading(path: Path, schema: Schema) -> sqlite3.Connection:
    """A connection that only reads, whoever writes.

    Raises:
        QueueUnavailable: there is no such file, or it cannot be read.
    """
    try:
        db = _connection(_uri(path, "ro"))
        try:
            if _check(db, path, schema) == 0:
                raise QueueUnavailable(f"{path}: there is nothing in it yet; start the server")
        except BaseException:
            db.close()
            raise
    except sqlite3.Error as error:
        raise unavailable(path, error) from error
    return db


def _uri(path: Path, mode: str) -> str:
    return f"{path.absolute().as_uri()}?mode={mode}"


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _connection(uri: str) -> sqlite3.Connection:
    # Transactions are begun by hand, hence isolation_level; readers' threads take turns by a lock.
    return sqlite3.connect(
        uri, timeout=PATIENCE, isolation_level=None, check_same_thread=False, uri=True,
        cached_statements=256,
    )  # fmt: skip


def _check(db: sqlite3.Connection, path: Path, schema: Schema) -> int:
    """The version of the file; 0 of one that is empty."""
    db.execute("BEGIN")  # all at one moment: another process may be making it
    mark, version = number(db, "PRAGMA application_id"), number(db, "PRAGMA user_version")
    tables = number(db, "SELECT count(*) FROM sqlite_master")
    db.execute("COMMIT")
    if mark == version == tables == 0:
        return 0
    if mark != schema.mark:
        raise QueueUnavailable(f"{path}: it is not {schema.what}; give another path")
    if version > len(schema.steps):
        raise QueueUnavailable(
            f"{path}: a newer onecopy wrote it (version {version}, this one knows "
            f"{len(schema.steps)}); update onecopy"
        )
    return version


def _update(db: sqlite3.Connection, schema: Schema) -> None:
    version = number(db, "PRAGMA user_version")
    for at, step in enumerate(schema.steps[version:], start=version + 1):
        # executescript would commit before it begins; the pragmas are part of the transaction.
        marks = f"PRAGMA application_id = {schema.mark}; PRAGMA user_version = {at};"
        db.executescript(f"BEGIN IMMEDIATE; {step}; {marks} COMMIT;")


def number(db: sqlite3.Connection, statement: str) -> int:
    """The one number that `statement` gives."""
    return int(db.execute(statement).fetchone()[0])
