"""One thread that writes a file, and commits together what many ask for at the same time.

A commit waits for the disk, half a millisecond and more. What is asked for meanwhile lies in
`_jobs`, and the next commit takes all of it: the busier, the larger the groups. (Group commit:
DeWitt et al., Implementation Techniques for Main Memory Database Systems, SIGMOD 1984.)
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from onecopy.agents.queue.checkpoints import Checkpoints
from onecopy.agents.queue.file import File
from onecopy.agents.queue.group import Act, Job, Result, Told, attempt, tell
from onecopy.agents.queue.trouble import is_full, unavailable
from onecopy.errors import QueueUnavailable

T = TypeVar("T")
GROUP = 256  # jobs of one commit
QUIET = 10.0  # seconds without trouble after which it is over: small commits fit on a full disk
log = logging.getLogger(__name__)


class Writer:
    """Carries out functions of the connection, each whole or not at all, in order.

    Args:
        file: It is closed with this.
        linger: Seconds for which a commit waits for more, unless something urgent is asked for.
    """

    def __init__(self, file: File, linger: float = 0.0) -> None:
        self._file = file
        self._linger = linger
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._db: sqlite3.Connection | None = None
        self._doubtful = False
        self._undo: list[Act] = []
        self._trouble = ""
        self._troubled = 0.0
        self._closed = False
        self._guard = threading.Lock()
        self._checkpoints = Checkpoints(file.path.name, file.connect_beside)
        self._thread = threading.Thread(
            target=self._run, name=f"onecopy-{file.path.name}", daemon=True
        )
        self._thread.start()

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def submit(
        self, act: Callable[[sqlite3.Connection], T], undo: Act | None = None
    ) -> asyncio.Future[T]:
        """Have `act` carried out: a future of what it returns, done once that is on disk.

        To cancel the future does not undo it. It ends with `QueueUnavailable` if `act` is not on
        disk, as far as can be known, or with whatever `act` raises. If it may be there after all,
        `undo` is carried out before any other job.

        Raises:
            QueueUnavailable: this is closed.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(Job(act, partial(_resolve, future), loop=loop, undo=undo))
        return future

    def do_now(self, act: Callable[[sqlite3.Connection], T]) -> T:
        """Carry out `act` and wait for it, without a loop."""
        done = threading.Event()
        answer: list[Any] = []

        def told(value: Any, error: BaseException | None) -> None:
            answer.extend((value, error))
            done.set()

        self.post(act, told)
        done.wait()
        value, error = answer
        if error is not None:
            raise error
        return value  # type: ignore[no-any-return]

    def post(self, act: Act, told: Told, urgent: bool = True) -> None:
        """Have `act` carried out; `told` is called with its value or error, in the thread.

        Raises:
            QueueUnavailable: this is closed.
        """
        self._put(Job(act, told, urgent))

    def _put(self, job: Job) -> None:
        with self._guard:  # no job may lie behind the last
            if self._closed:
                raise QueueUnavailable(f"{self.path}: it has been closed; open it again")
            self._jobs.put(job)

    def close(self) -> None:
        """Carry out what was asked for, then let go of the file."""
        with self._guard:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        going = True
        while going:
            jobs, going = self._gather()
            if jobs:
                self._commit(jobs)
        self._checkpoints.close()
        self._drop()
        self._file.close()

    def _gather(self) -> tuple[list[Job], bool]:
        """The jobs of the next commit, and whether more may come."""
        jobs: list[Job] = []
        until = 0.0
        while len(jobs) < GROUP:
            try:
                job = self._jobs.get(block=not jobs or until > 0, timeout=_left(until))
            except queue.Empty:
                break
            if job is None:
                return jobs, False
            if not jobs:
                until = time.monotonic() + self._linger if self._linger else 0.0
            if job.urgent:
                until = 0.0
            jobs.append(job)
        return jobs, True

    def _commit(self, jobs: list[Job]) -> None:
        try:
            answers = self._transaction(jobs)
        except Exception as error:  # whatever it is: all of them wait for an answer
            self._failed(jobs, error)
            return
        self._note("")
        self._checkpoints.written()
        tell(jobs, answers)

    def _transaction(self, jobs: list[Job]) -> list[Result]:
        db = self._connected()
        self._file.check_place()
        db.execute("BEGIN IMMEDIATE")
        for undo in self._undo:
            attempt(db, undo)
        answers = [attempt(db, job.act) for job in jobs]
        db.execute("COMMIT")
        self._undo.clear()
        return answers

    def _failed(self, jobs: list[Job], error: Exception) -> None:
        """Undo the transaction; on a full disk the small jobs of a group may still fit."""
        if is_full(error) and self._rolled_back():
            if len(jobs) > 1:
                for job in jobs:
                    self._commit([job])
                return
        else:
            self._drop()
            self._doubtful = True
            self._undo += [job.undo for job in jobs if job.undo]
        said = str(unavailable(self.path, error))
        self._note(said)
        tell(jobs, [(None, QueueUnavailable(said)) for _ in jobs])

    def _rolled_back(self) -> bool:
        try:
            if self._db is not None and self._db.in_transaction:
                self._db.execute("ROLLBACK")
        except sqlite3.Error:
            return False
        return self._db is not None

    def _note(self, trouble: str) -> None:
        """Log what has changed: thousands may ask while a disk is full."""
        now = time.monotonic()
        if trouble:
            self._troubled = now
            if trouble != self._trouble:
                log.error("%s", trouble)
            self._trouble = trouble
        elif self._trouble and now - self._troubled > QUIET:
            self._trouble = ""
            log.warning("%s: it can be written again", self.path)

    def _connected(self) -> sqlite3.Connection:
        if self._db is None:
            db = self._file.connect()
            try:
                if self._doubtful:
                    _settle(db)
                self._file.reserve(db)
            except BaseException:
                db.close()  # or it would keep the file locked
                raise
            self._db, self._doubtful = db, False
        return self._db

    def _drop(self) -> None:
        if self._db is not None:
            try:
                self._db.close()
            except sqlite3.Error as error:
                log.warning("%s: %s", self.path, error)
            self._db = None


def _settle(db: sqlite3.Connection) -> None:
    """Have no commit depend on a log whose writing failed.

    After a failed fsync Linux holds pages for clean that never reached the disk: commits behind
    them would be lost with the power. A checkpoint writes them anew, elsewhere, and empties the
    log. (Rebello et al., Can Applications Recover from fsync Failures?, USENIX ATC 2020.)
    """
    busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    if busy:
        raise sqlite3.OperationalError("database is locked")


def _left(until: float) -> float | None:
    return max(0.0, until - time.monotonic()) if until else None


def _resolve(future: asyncio.Future[Any], value: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)
