"""Jobs of one commit: each is carried out whole or not at all, and then who asked is told."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from onecopy.agents.queue.trouble import concerns_all

Act = Callable[[sqlite3.Connection], Any]
Told = Callable[[Any, BaseException | None], None]
Result = tuple[Any, BaseException | None]
Answer = tuple[Told, Any, BaseException | None]
log = logging.getLogger(__name__)


class Job(NamedTuple):
    """One piece of a transaction, and who is told once it is on disk."""

    act: Act
    told: Told
    urgent: bool = True
    loop: asyncio.AbstractEventLoop | None = None
    """Where `told` is called; None for the writer's thread."""
    undo: Act | None = None
    """Carried out before anything else if `told` got an error and the job may be on disk after
    all: for what nobody would ever ask for again."""


def attempt(db: sqlite3.Connection, act: Act) -> Result:
    """Carry out `act` within the group's transaction; its own failure undoes only itself."""
    db.execute("SAVEPOINT job")
    try:
        value = act(db)
    except Exception as error:
        if isinstance(error, sqlite3.Error) and concerns_all(error):
            raise
        db.execute("ROLLBACK TO job")
        db.execute("RELEASE job")
        return None, error
    db.execute("RELEASE job")
    return value, None


def tell(jobs: Sequence[Job], answers: Sequence[Result]) -> None:
    """Give the answers of a group; a loop is woken once for all that wait in it."""
    waiting: dict[asyncio.AbstractEventLoop, list[Answer]] = {}
    for job, (value, error) in zip(jobs, answers, strict=True):
        if job.loop is None:
            job.told(value, error)
        else:
            waiting.setdefault(job.loop, []).append((job.told, value, error))
    for loop, each in waiting.items():
        try:
            loop.call_soon_threadsafe(_tell_each, each)
        except RuntimeError:  # the loop has ended, and nobody waits any more
            log.debug("answers came after their loop had ended")


def _tell_each(answers: list[Answer]) -> None:
    for told, value, error in answers:
        told(value, error)
