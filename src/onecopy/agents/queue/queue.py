"""The queue of an agent server: what it has accepted, it deals with, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from onecopy.agents.event import Event
from onecopy.agents.queue import transitions
from onecopy.agents.queue.backup import copied
from onecopy.agents.queue.file import File
from onecopy.agents.queue.reader import Entry, Reader
from onecopy.agents.queue.schema import DEAD, DONE, QUEUED, RUNNING, SCHEMA
from onecopy.agents.queue.submission import Accepted, Submission, encoded
from onecopy.agents.queue.transitions import Recovered
from onecopy.agents.queue.turns import Turns
from onecopy.agents.queue.writer import Writer
from onecopy.errors import QueueUnavailable

T = TypeVar("T")
Entries = list[Entry]
_Taken = tuple[Any, Any]  # the row of an event or None, when the next is due
KEEP = 30 * 86400.0
REMEMBER = 365 * 86400.0
UNWRITTEN = 64 << 20  # bytes of bodies that may wait for the disk
LOOK = 30.0  # seconds after which `wait` looks at the clock, which may have been set


class Queue:
    """Events on disk; one process opens the file at a time, from one event loop.

    All functions raise `QueueUnavailable` if the file cannot be written or read just now; they may
    be called again.

    Example:
        >>> async def work(queue):
        ...     await queue.put(submission, delivery_id="d-1", body_hash=body_hash(b"{}"))
        ...     event = await queue.take()
        ...     await queue.done(event.id, "said hello")
    """

    def __init__(self, writer: Writer, turns: Turns, recovered: Recovered, keep: float,
                 remember: float, clock: Callable[[], float]) -> None:  # fmt: skip
        self._writer = writer
        self._turns = turns
        self._recovered = recovered
        self._keep, self._remember = keep, remember
        self._clock = clock
        self._reader = Reader(writer.path)
        self._ready = asyncio.Event()
        self._next_due: float | None = None
        self._unwritten = 0
        self._looked = 0.0
        """What the clock showed when an event was last asked for; the writer's thread only."""

    @classmethod
    def open(cls, path: str | Path, *, keep: float = KEEP, remember: float = REMEMBER,
             clock: Callable[[], float] = time.time) -> Queue:  # fmt: skip
        """Open the file `path`, or make it, and have what ran in it wait again.

        Args:
            path: Its folder is made if need be, mode 0700; the file's mode is 0600.
            keep: Seconds for which events are kept after their end.
            remember: Seconds for which deliveries are known again, at least `keep`.
            clock: Seconds since 1970.

        Raises:
            QueueUnavailable: another process has it open, or it cannot be read and written.
        """
        writer, turns = Writer(File(Path(path), SCHEMA, synchronous="FULL")), Turns()

        def begin(db: sqlite3.Connection) -> Recovered:
            turns.load(db)
            found = transitions.recover(db, turns, clock())
            transitions.set_back(db, turns, clock())
            return found

        try:
            recovered = writer.do_now(begin)
            return cls(writer, turns, recovered, keep, max(keep, remember), clock)
        except BaseException:
            writer.close()
            raise

    async def put(
        self, submission: Submission, delivery_id: str, body_hash: str | None = None
    ) -> Accepted:
        """Accept an event: once this returns, it is on disk.

        An event whose delivery id or body has come before, to the same trigger, is a duplicate;
        but the same delivery of a dead event revives it. What has no body of its own (a schedule,
        the CLI) has no `body_hash`.

        Raises:
            InvalidEvent: it cannot be written as JSON.
        """
        body = encoded(submission, delivery_id)
        if self._unwritten + len(body) > UNWRITTEN and self._unwritten:
            raise QueueUnavailable(
                f"{self._writer.path}: {self._unwritten >> 20} MiB of events wait for its disk; "
                "deliver this one again later"
            )

        def act(db: sqlite3.Connection) -> Accepted:
            now = self._clock()
            return transitions.put(db, self._turns, now, submission, body, delivery_id, body_hash)

        self._unwritten += len(body)
        future = self._submit(act)
        future.add_done_callback(lambda _: self._written(len(body)))
        return await asyncio.shield(future)

    async def take(self, agents: Collection[str] | None = None) -> Event | None:
        """Begin the next event that is due, of one of `agents` if given; None if there is none.

        It runs until `done`, `retry`, `dead` or `release` is called. No other event of its agent
        and subject is taken meanwhile. `settings` are the caller's to add.
        """
        while (row := await self._begun(agents)) is not None:
            try:
                return transitions.event_of(row)
            except msgspec.MsgspecError as error:
                await self.dead(row[0], f"what the file has of it is damaged: {error}")
        return None

    async def _begun(self, agents: Collection[str] | None) -> Any:
        self._ready.clear()
        picked: list[str] = []
        future = self._writer.submit(
            partial(self._take, agents, picked), undo=partial(self._untake, picked)
        )
        future.add_done_callback(self._taken)
        try:
            row, self._next_due = await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._give_back)
            raise
        return row

    def _take(
        self, agents: Collection[str] | None, picked: list[str], db: sqlite3.Connection
    ) -> _Taken:
        now = self._clock()
        if now < self._looked:
            transitions.set_back(db, self._turns, now)
        self._looked = now
        row = transitions.take(db, self._turns, now, agents)
        if row is None:
            return None, self._turns.next_due(db, agents)
        picked[:] = row[:1]
        return row, None

    def _untake(self, picked: list[str], db: sqlite3.Connection) -> None:
        for event in picked:
            transitions.release(db, self._turns, self._clock(), event)

    def _taken(self, future: asyncio.Future[_Taken]) -> None:
        # There may be another where there was one, also for another task that waits.
        if future.cancelled() or future.exception() is not None or future.result()[0]:
            self._ready.set()

    def _give_back(self, future: asyncio.Future[_Taken]) -> None:
        """Nobody is there any more who would run it."""
        if not future.cancelled() and future.exception() is None and future.result()[0]:
            self._submit(partial(self._untake, [future.result()[0][0]]))

    async def done(self, event: str, result: str = "") -> bool:
        """End a running event with success; False if it does not run (any more)."""
        return await self._end(event, DONE, result, (RUNNING,))

    async def dead(self, event: str, why: str) -> bool:
        """End a running or waiting event without success; False if it does neither."""
        return await self._end(event, DEAD, why, (RUNNING, QUEUED))

    async def _end(self, event: str, state: str, why: str, was: Collection[str]) -> bool:
        return await self._do(
            lambda db: transitions.end(db, self._turns, self._clock(), event, state, why, was)
        )

    async def retry(self, event: str, why: str, delay: float | None = None) -> str | None:
        """Have a running event wait for its next attempt, or end it if that was the last.

        Args:
            event: Its id.
            why: What went wrong.
            delay: Seconds until then, at most a day; None for a back-off that grows (backoff.py).

        Returns:
            Its new state: `queued`, `dead`, or `superseded` if a newer one waits; None if it does
            not run (any more).
        """
        return await self._do(
            lambda db: transitions.retry(db, self._turns, self._clock(), event, why, delay)
        )

    async def release(self, event: str) -> str | None:
        """Have a running event wait as if it had not begun: for a server that shuts down."""
        return await self._do(lambda db: transitions.release(db, self._turns, self._clock(), event))

    async def revive(self, event: str) -> bool:
        """Have a dead event wait for a new first attempt; False if it is not dead."""
        return await self._do(lambda db: transitions.revive(db, self._turns, self._clock(), event))

    async def recover(self) -> Recovered:
        """What became of events that ran when the file was last closed; `open` has seen to it."""
        return self._recovered

    async def wait(self) -> None:
        """Wait until `take` may have something: for the one task that takes."""
        timer = None
        if self._next_due is not None:
            pause = min(max(0.0, self._next_due - self._clock()), LOOK)
            timer = asyncio.get_running_loop().call_later(pause, self._ready.set)
        # Not wait_for: before Python 3.12 it can lose the cancellation of its caller.
        try:
            await self._ready.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def counts(self, agent: str | None = None) -> dict[str, int]:
        """How many events each state has."""
        return await asyncio.to_thread(self._reader.counts, agent)

    async def list(self, **wanted: Any) -> Entries:
        """The newest events; arguments as those of `Reader.list`."""
        return await asyncio.to_thread(self._reader.list, **wanted)

    async def get(self, event: str) -> Entry | None:
        """One event, or None."""
        return await asyncio.to_thread(self._reader.get, event)

    async def oldest(self) -> float | None:
        """When the oldest of the waiting events came, in seconds since 1970."""
        return await asyncio.to_thread(self._reader.oldest)

    async def purge(self) -> None:
        """Delete what ended longer ago than `keep`; to be called now and then."""
        while await self._do(self._purge):
            pass

    def _purge(self, db: sqlite3.Connection) -> bool:
        now = self._clock()
        return transitions.purge(db, now - self._keep, now - self._remember)

    async def backup(self, path: str | Path) -> None:
        """Write a copy to the new file `path`, while all goes on.

        Raises:
            QueueUnavailable: there is such a file, or no room for it.
        """
        await asyncio.to_thread(copied, self._reader, Path(path))

    async def do(self, act: Callable[[sqlite3.Connection, Turns, float], T]) -> T:
        """Carry out `act` as one transaction; for the schedule."""
        return await self._do(lambda db: act(db, self._turns, self._clock()))

    async def close(self) -> None:
        """Write what was asked for, and let another process open the file.

        What runs is recovered when it is opened again, which counts the attempt; see `release`.
        """
        # The last to close empties the log into the file, which one that only reads cannot.
        self._reader.close()
        await asyncio.to_thread(self._writer.close)

    async def _do(self, act: Callable[[sqlite3.Connection], T]) -> T:
        return await asyncio.shield(self._submit(act))

    def _submit(self, act: Callable[[sqlite3.Connection], T]) -> asyncio.Future[T]:
        future = self._writer.submit(act)
        future.add_done_callback(self._changed)
        return future

    def _changed(self, future: asyncio.Future[Any]) -> None:
        self._ready.set()
        if not future.cancelled():
            future.exception()  # whoever asked may have gone

    def _written(self, size: int) -> None:
        self._unwritten -= size
