"""An SQLite file of ours: its marks, its version, and how it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import NamedTuple

from onecopy.agents.queue.lock import Lock, Seat
from onecopy.agents.queue.trouble import checked_folder, unavailable
from onecopy.errors import QueueUnavailable

PATIENCE = 5.0  # seconds that another program, such as a backup, may hold the file locked
WAL_KEPT = 16 << 20  # bytes of the log that stay reserved: small changes pass on a full disk
WAL_PAGES = 16_000  # after which a commit waits for a checkpoint (checkpoints.py)


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
            _check(db, self.path, self._schema)
            db.execute(f"PRAGMA synchronous = {self._synchronous}")
            db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # of a new file; deleting gives back
            db.execute("PRAGMA journal_mode = WAL")
            db.execute(f"PRAGMA journal_size_limit = {WAL_KEPT}")
            db.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")
            _update(db, self._schema)
        except BaseException:
            db.close()
            raise
        return db

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
    mark, version = number(db, "PRAGMA application_id"), number(db, "PRAGMA user_version")
    if mark == 0 and version == 0 and number(db, "SELECT count(*) FROM sqlite_master") == 0:
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
        try:
            db.executescript(f"BEGIN IMMEDIATE; {step}; {marks} COMMIT;")
        except sqlite3.OperationalError:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if number(db, "PRAGMA user_version") < at:  # nobody else has done it meanwhile
                raise


def number(db: sqlite3.Connection, statement: str) -> int:
    """The one number that `statement` gives."""
    return int(db.execute(statement).fetchone()[0])
