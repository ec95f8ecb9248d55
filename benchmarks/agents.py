"""Agents for benchmarks: two that do the same, in JavaScript and in Python, and their workers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.stage import SMALLEST, Stage
from onecopy.agents.calls import Call, Reply
from onecopy.agents.event import Event
from onecopy.agents.sdk.build import build
from onecopy.agents.worker.limits import Limits
from onecopy.agents.worker.pool import Workers
from onecopy.errors import BuildFailed

SOURCES: Final = {"JavaScript": "waiting.js", "Python": "waiting.py"}
MANY: Final = 50  # runs at once


def components(stage: Stage) -> dict[str, Path]:
    """The components of those languages whose tools are there; at the smallest size of one."""
    found: dict[str, Path] = {}
    for language, name in SOURCES.items():
        if found and stage.scale is SMALLEST:
            break  # Python's takes twenty seconds of a processor to build and to compile.
        try:
            found[language] = build(Path(__file__).with_name("agent_sources") / name)
        except BuildFailed as failure:
            stage.notes.append(f"{language}: {failure}")
    return found


def event(payload: str) -> str:
    """An event for them: `wait` has the agent ask for a value first."""
    made = Event("1", "bench", "cli", "bench", "bench", {}, payload)
    return msgspec.json.encode(made).decode()


class Host:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.waiting = 0
        self.released = asyncio.Event()

    async def answer(self, call: Call) -> Reply:
        """Wait with the answer to all but lines of the log."""
        if not call.name.startswith("log."):
            self.waiting += 1
            await self.released.wait()
        return Reply()


def with_workers(
    component: Path, processes: int, act: Callable[[Workers], Awaitable[object]]
) -> None:
    """Have something done with workers that are ready."""

    async def main() -> None:
        async with Workers(
            component, Limits(concurrent=MANY), name="bench", processes=processes
        ) as workers:
            await act(workers)

    asyncio.run(main())
