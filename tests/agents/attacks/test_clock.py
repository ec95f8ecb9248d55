"""The clock of a whole server is set back and forward by hours, while events wait and are due."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from onecopy.agents.queue.reader import Entry
from onecopy.agents.secrets import Secrets
from onecopy.agents.server.server import Server
from onecopy.agents.server.service import Service, queued
from tests.agents.attacks.bench import ANY, ENDED, running
from tests.agents.attacks.whole import SECRET, make_agent
from tests.agents.queue.opening import Clock

HOUR = 3600.0
HOURLY = """
[[triggers.schedule]]
name = "hourly"
cron = "0 * * * *"
"""


class There:
    """A server whose clock stands still but for what a test does to it."""

    def __init__(self, service: Service, clock: Clock) -> None:
        self.service = service
        self.clock = clock
        self._count = 0

    async def put(self, whole: list[Any]) -> str:
        """Have an event wait, and return its id."""
        self._count += 1
        manifest = self.service.agents["one"].manifest
        (webhook,) = manifest.triggers.webhook
        payload = {"subject": f"s{self._count}", "do": [], "whole": whole}
        bound = manifest.bind_delivery(webhook, {"X-GitHub-Event": "asked"}, payload)
        assert bound is not None
        submission = queued(manifest, bound, webhook.path)
        return (await self.service.queue.put(submission, f"d{self._count}")).id

    async def until(self, event: str, holds: Callable[[Entry], bool]) -> Entry:
        """Return an event once something is so of it."""
        while True:
            entry = await self.service.queue.get(event)
            assert entry is not None
            if holds(entry):
                return entry
            await asyncio.sleep(0.01)

    async def set(self, seconds: float) -> list[str]:
        """Set the clock, and return the hours of events that were due by that, once they ended."""
        before = set(await self._due())
        self.clock.now += seconds
        schedule = self.service._schedule
        while schedule._looked != self.clock.now:
            await asyncio.sleep(0.01)
        new = {event: due for event, due in (await self._due()).items() if event not in before}
        for event in new:
            assert (await self.until(event, lambda entry: entry.state in ENDED)).state == "done"
        return list(new.values())

    async def go(self, hours: float) -> list[str]:
        """Let time pass as it should."""
        found = []
        for _ in range(round(hours * 15)):
            found += await self.set(240)
        return found

    async def _due(self) -> dict[str, str]:
        entries = await self.service.queue.list(limit=500)
        return {e.id: e.delivery[11:16] for e in entries if e.trigger == "schedule"}


def run(
    folder: Path,
    component: Path,
    patch: pytest.MonkeyPatch,
    act: Callable[[There], Awaitable[None]],
) -> None:
    patch.setattr("onecopy.agents.queue.queue.LOOK", 0.05)
    patch.setattr("onecopy.agents.queue.schedule.LOOK", 0.05)

    async def whole() -> None:
        agent = make_agent(folder / "one", component, limits="attempts = 3", more=HOURLY)
        clock = Clock(datetime(2026, 3, 1, 12, 30, tzinfo=timezone.utc).timestamp())
        secrets = Secrets({"HOOK_SECRET": SECRET})
        server = Server(
            [agent], listen=ANY, status=ANY, state=folder / "state", secrets=secrets, clock=clock
        )
        async with running(server):
            await act(There(server.service, clock))

    asyncio.run(whole())


@pytest.mark.parametrize("hours", [-5, 5, -50])
def test_what_failed_is_tried_again_as_soon_as_it_was_to_be(
    tmp_path: Path, probe: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    async def act(there: There) -> None:
        event = await there.put(["no such function"])
        await there.until(event, lambda entry: entry.attempt == 1 and entry.state == "queued")
        waiting = await there.put(["size"])
        await there.set(hours * HOUR)
        await there.until(waiting, lambda entry: entry.state == "done")
        there.clock.now += 15
        await there.until(event, lambda entry: entry.attempt == 2 and entry.state == "queued")
        await there.set(-hours * HOUR)
        there.clock.now += 60
        await there.until(event, lambda entry: entry.state == "dead")

    run(tmp_path, probe, monkeypatch, act)


def test_schedules_are_neither_repeated_nor_silent_for_hours(
    tmp_path: Path, probe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(there: There) -> None:
        assert await there.go(1) == ["13:00"]
        for hours in (-5, 5, -0.5, 0.5):
            assert await there.set(hours * HOUR) == []
        assert await there.set(5 * HOUR) == ["18:00"]
        assert await there.go(2) == ["19:00", "20:00"]
        assert await there.set(-5 * HOUR) == []
        assert await there.go(3) == ["16:00", "17:00", "18:00"]
        assert await there.set(-9 * HOUR) == []
        assert await there.go(2) == ["10:00", "11:00"]

    run(tmp_path, probe, monkeypatch, act)
