"""Moves what is in the log of a file into the file, beside the writer instead of in its commits.

SQLite would do so within the commit that makes the log long enough, and all that wait for that
commit would wait for some thousand pages and two more syncs. A passive checkpoint of another
connection stops no writer. The writer's own remains as a bound for the log; little is left for it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable

PAUSE = 0.5  # seconds between two
log = logging.getLogger(__name__)


class Checkpoints:
    """A thread that follows a writer.

    Args:
        name: Of the file, for the thread's name.
        connect: Makes a connection of its own.
    """

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self._connect = connect
        self._written = threading.Event()
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name=f"onecopy-{name}-checkpoints", daemon=True
        )
        self._thread.start()

    def written(self) -> None:
        """There is something in the log."""
        self._written.set()

    def close(self) -> None:
        """End it."""
        self._end.set()
        self._written.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(PAUSE):
            self._written.wait()
            self._written.clear()
            if not self._end.is_set():
                self._checkpoint()

    def _checkpoint(self) -> None:
        try:
            db = self._connect()
            try:
                db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            finally:
                db.close()
        except (sqlite3.Error, OSError) as error:
            # The log still has it all; whether it can be written the writer finds out.
            log.debug("no checkpoint: %s", error)
