"""Each event of the queue comes to its end, whatever its run does."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from onecopy.agents.manifest import Manifest
from onecopy.agents.outcome import ERROR, FAILED, Outcome
from onecopy.agents.queue.reader import Entry
from onecopy.agents.server.service import Service, queued

ENDED = ("done", "dead", "superseded")


async def put(service: Service, do: str, number: int = 1) -> str:
    """Have an event wait, and return its id."""
    manifest = service.agents["actions"].manifest
    bound = manifest.bind_cli("asked", {"number": number, "do": f"!{do}"})
    submission = queued(manifest, bound, "cli")
    return (await service.queue.put(submission, f"{do}{number}")).id


async def until(holds: Callable[[], Awaitable[Any]]) -> Any:
    """Return what `holds` returns once that is true."""
    while not (found := await holds()):
        await asyncio.sleep(0.01)
    return found


class Clock:
    """The queue's clock, which a test may set forward."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead

    async def pass_by(self, service: Service) -> None:
        """A day passes; another event wakes the queue, which waits by the hour."""
        self.ahead += 86400.0
        await put(service, "e", 99)


async def _attempted(service: Service, event: str) -> Entry | None:
    entry = await service.queue.get(event)
    return entry if entry and entry.attempt and entry.state != "running" else None


async def _is_running(service: Service, event: str) -> Entry | None:
    entry = await service.queue.get(event)
    return entry if entry and entry.state == "running" else None


async def end_of(service: Service, event: str) -> Entry:
    async def ended() -> Entry | None:
        entry = await service.queue.get(event)
        return entry if entry and entry.state in ENDED else None

    return await until(ended)


def run(serving: Any, act: Callable[[Service], Awaitable[Any]], **options: Any) -> Any:
    """Carry out `act` beside a service that runs."""

    async def whole() -> Any:
        async with serving(**options) as service:
            task = asyncio.create_task(service.run())
            try:
                return await act(service)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(whole())


def test_an_event_is_run_and_its_answer_is_kept(serving: Any) -> None:
    async def act(service: Service) -> tuple[Entry, Any]:
        entry = await end_of(service, await put(service, "e"))
        await service.resources.records.flush()
        return entry, service.resources.records.runs(event=entry.id)

    entry, runs = run(serving, act)
    assert (entry.state, entry.attempt, entry.subject) == ("done", 1, "thing#1")
    assert '"do":"!e"' in entry.why
    assert [(each.status, each.attempt) for each in runs] == [("ok", 1)]


@pytest.mark.parametrize(("do", "why"), [("x", "thing#1"), ("t", "unreachable"), ("l", "0.2 s")])
def test_what_fails_is_tried_again_later_and_then_dead(serving: Any, do: str, why: str) -> None:
    clock = Clock()

    async def act(service: Service) -> tuple[Entry, Any]:
        event = await put(service, do)
        entry = await until(lambda: _attempted(service, event))
        assert (entry.state, entry.attempt) == ("queued", 1)
        await clock.pass_by(service)
        entry = await end_of(service, event)
        await service.resources.records.flush()
        return entry, service.resources.records.runs(event=event)

    entry, runs = run(serving, act, clock=clock)
    assert (entry.state, entry.attempt) == ("dead", 2)
    assert why in entry.why
    assert sorted(each.attempt for each in runs) == [1, 2]


def test_a_run_whose_worker_is_killed_is_run_again(serving: Any) -> None:
    clock = Clock()

    async def act(service: Service) -> Entry:
        agent = service.agents["actions"]
        event = await put(service, "S")
        await until(lambda: _is_running(service, event))
        assert agent.workers is not None
        (pid,) = agent.workers.pids
        os.kill(pid, signal.SIGKILL)
        await until(lambda: _attempted(service, event))
        await clock.pass_by(service)
        return await until(lambda: _is_running(service, event))

    entry = run(serving, act, clock=clock)
    assert (entry.state, entry.attempt) == ("running", 2)


def test_what_runs_when_the_server_shuts_down_waits_for_the_next_one(serving: Any) -> None:
    events: list[str] = []

    async def begin(service: Service) -> None:
        events.append(await put(service, "S"))
        await until(lambda: _is_running(service, events[0]))

    async def look(service: Service) -> Entry | None:
        return await service.queue.get(events[0])

    run(serving, begin)

    async def later() -> Entry | None:
        async with serving() as service:
            return await look(service)

    entry = asyncio.run(later())
    assert entry is not None
    assert (entry.state, entry.attempt) == ("queued", 0)


def test_events_of_one_subject_are_never_run_at_once(serving: Any) -> None:
    async def act(service: Service) -> None:
        first = await put(service, "S")
        await until(lambda: _is_running(service, first))
        second = await put(service, "e", 1)
        other = await put(service, "e", 2)
        assert (await end_of(service, other)).state == "done"
        waits = await service.queue.get(second)
        runs = await service.queue.get(first)
        assert waits is not None
        assert runs is not None
        assert (runs.state, waits.state) == ("running", "queued")

    run(serving, act)


@pytest.mark.parametrize(
    ("outcome", "message", "after"),
    [
        (Outcome(ERROR, '{"message": "busy", "retry_after": 30}'), "busy", 30),
        (Outcome(ERROR, '{"message": "no"}'), "no", None),
        (Outcome(ERROR, '{"retry_after": "soon"}'), '{"retry_after": "soon"}', None),
        (Outcome(FAILED, '{"message": "m", "retry_after": 1}'), '{"message": "m", "retry_', None),
        (Outcome(ERROR, "[" * 5000), "[[[", None),
    ],
)
def test_an_agent_may_say_when_it_is_to_be_tried_again(
    outcome: Outcome, message: str, after: float | None
) -> None:
    said = outcome.said
    assert said.message.startswith(message)
    assert said.retry_after == after


def test_an_agent_that_gives_up_is_not_tried_again(serving: Any) -> None:
    async def act() -> Entry | None:
        async with serving() as service:
            await put(service, "e")
            event = await service.queue.take()
            assert event is not None
            await service._tell(event, Outcome(ERROR, '{"message": "no", "retry": false}'))
            return await service.queue.get(event.id)

    entry = asyncio.run(act())
    assert entry is not None
    assert (entry.state, entry.why, entry.attempt) == ("dead", "no", 1)


def test_events_have_the_attempts_of_their_manifest(manifest: Manifest) -> None:
    submission = queued(manifest, manifest.bind_cli("asked", {"number": 7}), "cli")
    assert (submission.attempts, submission.subject, submission.source) == (2, "thing#7", "cli")
