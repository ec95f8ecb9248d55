"""Events at times that a cron expression gives, in UTC."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Final

import msgspec
from cronsim import CronSim, CronSimError

from onecopy.agents.queue import transitions
from onecopy.agents.queue.queue import Queue
from onecopy.agents.queue.submission import Accepted, Submission
from onecopy.agents.queue.turns import Turns
from onecopy.errors import InvalidArgument, QueueUnavailable

LOOK: Final = 30.0  # seconds after which the clock is looked at, which may have been set
AGAIN: Final = 5.0  # seconds after which a queue is tried again that could not be written
CORRECTION: Final = 3600.0  # seconds: a clock that is set back by more was wrong
PASSING: Final = 300.0  # seconds between two looks in which a time passes, and is not jumped over
_LAST = "SELECT last, corrections FROM schedules WHERE agent = ? AND name = ? AND cron = ?"
_SET = """
INSERT OR REPLACE INTO schedules (agent, name, cron, last, corrections) VALUES (?, ?, ?, ?, ?)
"""
log = logging.getLogger(__name__)


class Timetable(msgspec.Struct, frozen=True, kw_only=True):
    """One `[[triggers.schedule]]` of an agent.

    Example:
        `Timetable(agent="bot", name="nightly", cron="0 3 * * *", subject="nightly")`
    """

    agent: str
    name: str
    cron: str
    """Five fields; UTC."""
    subject: str
    attempts: int = 5

    def submission(self, due: float) -> Submission:
        """The event of a due time."""
        return Submission(
            agent=self.agent, trigger="schedule", source=self.name, kind=self.name,
            subject=self.subject, fields={}, payload={"due": _moment(due).isoformat()},
            attempts=self.attempts,
        )  # fmt: skip


class Schedule:
    """Puts an event into the queue for each due time, once.

    The due time that was last dealt with is in the queue's file, set by the transaction that puts
    the event; so a server that is killed neither repeats nor leaves out one. Of the times that
    passed while no server ran (or the queue could not be written) only the latest has an event.
    None of the past has when a schedule or its expression is new.

    Where the clock is set back, times that had their event have no other, and where it is set
    forward, only the latest has one. Set back by more than an hour, it was wrong before: times have
    an event as they pass, also if they had one by the wrong clock (as of cron(8), for three hours).

    Args:
        queue: Where events go.
        timetables: Names are unique within an agent.
        clock: Seconds since 1970.

    Raises:
        InvalidArgument: a cron expression that is none.
    """

    def __init__(
        self,
        queue: Queue,
        timetables: Sequence[Timetable],
        clock: Callable[[], float] = time.time,
    ) -> None:
        for each in timetables:
            check(each.cron)
        self._queue = queue
        self._timetables = timetables
        self._clock = clock
        self._looked: float | None = None

    async def run(self) -> None:
        """Put events when they are due, until cancelled."""
        while self._timetables:
            try:
                await self.put_due()
                pause = min(max(0.0, self.next_due() - self._clock()), LOOK)
            except QueueUnavailable as error:
                log.error("scheduled events wait: %s", error)
                pause = AGAIN
            await asyncio.sleep(pause)

    async def put_due(self) -> list[Accepted]:
        """Put an event for each timetable of which a time has passed since the last."""
        now = self._clock()
        passing = self._looked is not None and 0 <= now - self._looked <= PASSING
        since = self._looked if passing else None
        asked = (self._queue.do(partial(_put_due, each, since)) for each in self._timetables)
        found = await asyncio.gather(*asked)
        self._looked = now
        return [put for put in found if put is not None]

    def next_due(self) -> float:
        """When the next event is due."""
        now = self._clock()
        return min(following(each.cron, now) for each in self._timetables)


def _put_due(
    each: Timetable, since: float | None, db: sqlite3.Connection, turns: Turns, now: float
) -> Accepted | None:
    """Put the event of the latest due time; `since` is the last look, if that was just now."""
    row = db.execute(_LAST, (each.agent, each.name, each.cron)).fetchone()
    last, corrections = row or (now, 0)
    due = latest(each.cron, now)
    # What was dealt with lies after `now` if the clock was ahead then.
    corrections += last > now + CORRECTION
    last = min(last, now)
    if row != (max(last, due), corrections):
        db.execute(_SET, (each.agent, each.name, each.cron, max(last, due), corrections))
    if due <= last:
        return None
    submission = each.submission(due)
    # A time that passes only now had no event but by a clock that was wrong.
    known = [corrections] if since is not None and since < due else range(corrections + 1)
    if any(transitions.delivered(db, submission, _delivery(due, number)) for number in known):
        return None
    body = msgspec.json.encode((submission.fields, submission.payload))
    return transitions.put(db, turns, now, submission, body, _delivery(due, corrections), None)


def _delivery(due: float, corrections: int) -> str:
    return _moment(due).isoformat() + (f" {corrections}" if corrections else "")


def check(cron: str) -> None:
    """Raise `InvalidArgument` for a text that is no cron expression, or has no time to come."""
    try:
        next(CronSim(cron, _moment(0)))
    except (CronSimError, StopIteration) as error:
        why = error or "it is never due"
        raise InvalidArgument(
            f'{cron!r} is no cron expression: {why}; write one such as "0 3 * * *"'
        ) from None


def latest(cron: str, now: float) -> float:
    """The latest due time that is not after `now`; long ago if there was none."""
    # Backwards it begins before the time that it is given, forwards after it.
    found = next(CronSim(cron, _moment(now) + timedelta(seconds=1), reverse=True), None)
    return 0.0 if found is None else found.timestamp()


def following(cron: str, now: float) -> float:
    """The first due time after `now`."""
    found = next(CronSim(cron, _moment(now)), None)
    return float("inf") if found is None else found.timestamp()


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), timezone.utc)
