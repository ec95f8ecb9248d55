"""Agents that hang, crash and flood, files that go away: the others, and the end, still come."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from onecopy.agents.server.service import Service
from onecopy.errors import WorkerLost
from tests.agents.server.test_service import end_of, put, run, until


async def _running(service: Service) -> int:
    return (await service.queue.counts())["running"]


async def _without_worker(service: Service) -> None:
    """Kill the agent's worker, and return once the service knows."""
    workers = service.agents["actions"].workers
    assert workers is not None
    (pid,) = workers.pids
    os.kill(pid, signal.SIGKILL)
    while workers.pids:
        await asyncio.sleep(0.01)


@pytest.fixture
def limited(folder: Path) -> None:
    """Two runs at once, before the manifest is read."""
    file = folder / "agent.toml"
    file.write_text(file.read_text().replace("[limits]", "[limits]\nconcurrent = 2"))


@pytest.mark.usefixtures("limited")
def test_no_more_events_are_begun_than_may_run_while_there_is_no_worker(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(service: Service) -> None:
        workers = service.agents["actions"].workers
        assert workers is not None
        await _without_worker(service)
        started, new_worker = asyncio.Event(), workers.new_worker

        async def late() -> Any:
            await started.wait()
            return await new_worker()

        monkeypatch.setattr(workers, "new_worker", late)
        events = [await put(service, "e", number) for number in range(20)]
        for _ in range(40):  # each time is as long as to begin another
            assert await _running(service) <= 2
        started.set()
        entries = [await end_of(service, each) for each in events]
        assert {each.state for each in entries} == {"done"}

    run(serving, act)


@pytest.mark.usefixtures("limited")
def test_a_worker_that_never_starts_costs_two_events_an_attempt_at_a_time(
    serving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def act(service: Service) -> int:
        workers = service.agents["actions"].workers
        assert workers is not None
        await _without_worker(service)
        seen = []

        async def never() -> Any:
            seen.append(await _running(service))
            raise WorkerLost("it did not start")

        monkeypatch.setattr(workers, "new_worker", never)
        events = [await put(service, "e", number) for number in range(10)]

        async def all_tried() -> bool:
            entries = [await service.queue.get(each) for each in events]
            return all(each and each.attempt and each.state == "queued" for each in entries)

        await until(all_tried)
        return max(seen)

    assert run(serving, act) <= 2


def test_a_service_ends_though_its_file_is_gone(serving: Any, tmp_path: Path) -> None:
    async def act(service: Service) -> None:
        event = await put(service, "S")

        async def begun() -> bool:
            entry = await service.queue.get(event)
            return entry is not None and entry.state == "running"

        await until(begun)
        (tmp_path / "state/events.sqlite").rename(tmp_path / "gone")

    run(serving, act)  # which cancels the service, and waits for it


def test_records_that_are_damaged_stop_no_event(serving: Any, tmp_path: Path) -> None:
    async def act(service: Service) -> str:
        assert (await end_of(service, await put(service, "e", 1))).state == "done"
        for each in ("records.sqlite", "records.sqlite-wal"):
            with (tmp_path / "state" / each).open("r+b") as file:
                file.write(b"\xff" * 200_000)
        return (await end_of(service, await put(service, "e", 2))).state

    assert run(serving, act) == "done"
