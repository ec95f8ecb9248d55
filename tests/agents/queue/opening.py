"""Queues for tests: with a clock of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from onecopy.agents.queue.file import File, Schema
from onecopy.agents.queue.queue import Queue
from onecopy.agents.queue.submission import Submission

T = TypeVar("T")
START = 1_750_000_000.0


class Clock:
    """Seconds since 1970 that pass when a test says so."""

    def __init__(self, now: float = START) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def submission(
    subject: str = "o/r#1", kind: str = "pull_request.opened", **more: Any
) -> Submission:
    given = {"agent": "bot", "trigger": "webhook", "fields": {"repo": "o/r"}, **more}
    return Submission(kind=kind, subject=subject, **given)


class Unsynced(File):
    """Does not wait for the disk."""

    def __init__(self, path: Path, schema: Schema, synchronous: str) -> None:
        super().__init__(path, schema, "OFF")


@contextmanager
def unsynced() -> Iterator[None]:
    """Queues that are opened within are quick: for tests of many, in which no power fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("onecopy.agents.queue.queue.File", Unsynced)
        patch.setattr("onecopy.agents.queue.file.RESERVE", 0)
        yield


def use(path: Path, act: Callable[[Queue], Awaitable[T]], **options: Any) -> T:
    """Open a queue, do something with it, close it."""

    async def run() -> T:
        queue = Queue.open(path, **options)
        try:
            return await act(queue)
        finally:
            await queue.close()

    return asyncio.run(run())
