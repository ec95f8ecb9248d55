"""The run records of an agent server."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from onecopy.agents.event import Event
from onecopy.agents.queue.backup import copied
from onecopy.agents.queue.file import File
from onecopy.agents.queue.lock import Seat
from onecopy.agents.queue.transitions import new_id
from onecopy.agents.queue.writer import Writer
from onecopy.agents.records import retention
from onecopy.agents.records.ledger import Ledger, day_of
from onecopy.agents.records.reader import Reader
from onecopy.agents.records.recorder import Begun, Recorder
from onecopy.agents.records.run import Run, Summary, Tail, Totals
from onecopy.agents.records.schema import SCHEMA
from onecopy.errors import QueueUnavailable

LINGER = 0.05  # seconds that a line may wait for others, before a live view can see it
BEHIND = 64 << 20  # bytes that may wait for the disk; calls that come then leave only their names


class Shared:
    """What the recorders of a file have in common."""

    def __init__(
        self,
        writer: Writer,
        seat: Seat,
        redact: Callable[[str], str],
        clock: Callable[[], float],
    ) -> None:
        self.seat = seat
        self.redact = redact
        self.clock = clock
        self.ledger = Ledger()
        self._writer = writer
        self._waiting = 0
        self._guard = threading.Lock()

    def is_behind(self) -> bool:
        """Whether the disk does not keep up."""
        return self._waiting > BEHIND

    def post(
        self,
        act: Callable[[sqlite3.Connection], None],
        size: int,
        urgent: bool,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Have something written soon; `failed` is told in the writer's thread."""

        def told(_: Any, error: BaseException | None) -> None:
            self._add(-size)
            if error is not None:
                failed(error)

        self._add(size)
        try:
            self._writer.post(act, told, urgent)
        except QueueUnavailable as error:  # closed, while a run was still going on
            told(None, error)

    def _add(self, size: int) -> None:
        with self._guard:
            self._waiting += size


class Records:
    """Records on disk; several processes may write them, any may read them (`Reader`).

    Functions that read may be called from any thread, and raise `QueueUnavailable` if the file
    cannot be read.

    Example:
        >>> recorder = records.begin(event, seed=start.seed, time_ns=start.time_ns)
        >>> recorder.call(call, reply, started, seconds)
        >>> recorder.end(outcome)
    """

    def __init__(self, writer: Writer, shared: Shared) -> None:
        self._writer = writer
        self._shared = shared
        self.reader = Reader(writer.path)

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        redact: Callable[[str], str] = str,
        clock: Callable[[], float] = time.time,
    ) -> Records:
        """Open the file `path`, or make it; what processes that have ended left running is lost.

        Args:
            path: Its folder is made if need be, mode 0700; the file's mode is 0600.
            redact: Takes secrets out of a text, such as `Redactor.text`.
            clock: Seconds since 1970.

        Raises:
            QueueUnavailable: this process has it open, or it cannot be read and written.
        """
        # A run's record is no promise to anybody: it survives the end of the process, and after
        # that of the machine the last moments may be missing. NORMAL syncs only at checkpoints.
        file = File(Path(path), SCHEMA, "NORMAL", Seat)
        assert isinstance(file.beside, Seat)
        writer = Writer(file, LINGER)
        shared = Shared(writer, file.beside, redact, clock)

        def begin(db: sqlite3.Connection) -> None:
            shared.ledger.load(db, day_of(clock()))
            # Who had our number before us has ended.
            retention.lose(db, clock(), lambda owner: shared.seat.number != owner
                           and shared.seat.is_taken(owner))  # fmt: skip

        try:
            writer.do_now(begin)
            return cls(writer, shared)
        except BaseException:
            writer.close()
            raise

    def begin(
        self, event: Event, *, seed: bytes, time_ns: int, component: str = "",
        run: str | None = None,
    ) -> Recorder:  # fmt: skip
        """Begin the record of a run.

        Args:
            event: As the guest gets it.
            seed: Of its randomness.
            time_ns: What its clock shows at first.
            component: The digest of what runs.
            run: Its id; a new one if not given.
        """
        now = self._shared.clock()
        begun = Begun(run or new_id(now), event, component, seed, time_ns, now)
        return Recorder(begun, self._shared)

    def runs(self, **wanted: Any) -> list[Summary]:
        """The newest runs; arguments as those of `Reader.runs`."""
        return self.reader.runs(**wanted)

    def run(self, run: str) -> Run | None:
        """All of a run, or None."""
        return self.reader.run(run)

    def tail(self, run: str, after: int = 0, limit: int = 1000) -> Tail | None:
        """What came after item `after` of a run, for a live view; None if there is no such run."""
        return self.reader.tail(run, after, limit)

    def today(self, agent: str) -> Totals:
        """What an agent has used today (UTC), with what is not on disk yet: for budgets.

        What other processes have used counts as it was when this one opened the file.
        """
        return self._shared.ledger.of(day_of(self._shared.clock()), agent)

    def totals(self, agent: str | None = None, since: int = 0) -> list[Totals]:
        """What agents have used on each day from `since` on, newest first."""
        return self.reader.totals(agent, since)

    async def purge(self, keep: float, agents: Collection[str] | None = None) -> None:
        """Delete the records of runs of these agents that began more than `keep` seconds ago.

        Runs of processes that have ended meanwhile are lost ones from now on.
        """
        now = self._shared.clock()

        def act(db: sqlite3.Connection) -> None:
            retention.lose(db, now, self._shared.seat.is_taken)

        await asyncio.shield(self._writer.submit(act))
        await retention.purge(self._writer, now - keep, agents)

    async def flush(self) -> None:
        """Return once all that was recorded is in the file."""
        await asyncio.shield(self._writer.submit(lambda _: None))

    async def backup(self, path: str | Path) -> None:
        """Write a copy to the new file `path`, while all goes on."""
        await asyncio.to_thread(copied, self.reader, Path(path))

    async def close(self) -> None:
        """Write what was recorded, and let another process open the file."""
        # The last to close empties the log into the file, which one that only reads cannot.
        self.reader.close()
        await asyncio.to_thread(self._writer.close)
