"""Takes events from the queue, runs agents with them, and sees each event to its end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from onecopy.agents import outcome as outcomes
from onecopy.agents.queue.schedule import Schedule, Timetable
from onecopy.agents.queue.submission import Submission
from onecopy.errors import OnecopyError, QueueUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from onecopy.agents.event import Event
    from onecopy.agents.manifest import BoundEvent, Manifest
    from onecopy.agents.outcome import Outcome
    from onecopy.agents.queue.queue import Queue
    from onecopy.agents.server.agent import ServedAgent
    from onecopy.agents.server.resources import Resources

_log = logging.getLogger(__name__)
_AGAIN: Final = 1.0
"""Seconds until a queue that cannot be written is asked again."""
_TIDY: Final = 3600.0
"""Seconds between deletions of what is old."""
_SHOWN: Final = 4000
"""Characters of a result or a reason that the queue keeps."""


class Service:
    """Runs agents with the events of a queue, many at a time.

        service = Service([agent], queue, resources)
        await service.run()             # until it is cancelled; what runs then waits in the queue

    Args:
        agents: entered already.
        queue: nobody else takes from it.
        resources: whose records are tidied.
        clock: seconds since 1970, of schedules; the queue's.
    """

    def __init__(
        self,
        agents: Iterable[ServedAgent],
        queue: Queue,
        resources: Resources,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.agents = {agent.name: agent for agent in agents}
        self.queue = queue
        self.resources = resources
        self._running: set[asyncio.Task[None]] = set()
        self._trouble = ""
        self._taken = Counter[str]()
        """Events of each agent whose runs have not ended. Not what its workers count: where there
        is no worker, all events would be taken, and wait for one in memory, each an attempt."""
        self._schedule = Schedule(queue, list(_timetables(self.agents.values())), clock)

    async def run(self) -> None:
        """Take and run events until cancelled."""
        helpers = [asyncio.create_task(self._schedule.run()), asyncio.create_task(self._tidy())]
        try:
            while True:
                await self._dispatch()
        finally:
            for task in (*helpers, *self._running):
                task.cancel()
            await asyncio.gather(*helpers, *self._running, return_exceptions=True)

    async def _dispatch(self) -> None:
        try:
            event = await self.queue.take(self._free())
            self._trouble = ""
            if event is None:
                await self.queue.wait()
                return
        except QueueUnavailable as error:
            if str(error) != self._trouble:  # a disk may be full for a day
                _log.error("no events can be taken: %s", error)
            self._trouble = str(error)
            await asyncio.sleep(_AGAIN)
            return
        self._taken[event.agent] += 1
        task = asyncio.create_task(self._handle(event))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _free(self) -> list[str]:
        """Agents that may have one run more."""
        return [
            name
            for name, agent in self.agents.items()
            if self._taken[name] < agent.manifest.limits.concurrent
        ]

    async def _handle(self, event: Event) -> None:
        try:
            outcome = await self._outcome(event)
        except asyncio.CancelledError:
            await self._release(event)
            raise
        if outcome.status != outcomes.OK:
            said = outcome.said.message
            _log.warning("event %s of %s: %s", event.id, event.agent, said)
        await self._settle(event, outcome)

    async def _outcome(self, event: Event) -> Outcome:
        try:
            return await self.agents[event.agent].run(event)
        except Exception as error:
            if not isinstance(error, OnecopyError):
                _log.exception("event %s failed in the server", event.id)
            return outcomes.Outcome(outcomes.FAILED, f"{type(error).__name__}: {error}")
        finally:
            # Before the queue is told: that is what has `_dispatch` look again.
            self._taken[event.agent] -= 1

    async def _release(self, event: Event) -> None:
        """Have an event wait for the next server, as we shut down."""
        try:
            await self.queue.release(event.id)
        except QueueUnavailable as error:
            # Not again: nobody could stop us. The next server finds it, and counts the attempt.
            _log.error("event %s is left as it is: %s", event.id, error)

    async def _settle(self, event: Event, outcome: Outcome) -> None:
        """Have the queue know how a run ended."""
        told = False
        while True:
            try:
                return await self._tell(event, outcome)
            except QueueUnavailable as error:
                if not told:  # or a full disk had a line of each event in each second
                    _log.error("the end of event %s cannot be written yet: %s", event.id, error)
                told = True
                await asyncio.sleep(_AGAIN)

    async def _tell(self, event: Event, outcome: Outcome) -> None:
        if outcome.status == outcomes.OK:
            await self.queue.done(event.id, outcome.text[:_SHOWN])
        else:
            said = outcome.said
            if said.retry:
                await self.queue.retry(event.id, said.message[:_SHOWN], said.retry_after)
            else:
                await self.queue.dead(event.id, said.message[:_SHOWN])

    async def _tidy(self) -> None:
        while True:
            with contextlib.suppress(QueueUnavailable):
                await self.queue.purge()
                for agent in self.agents.values():
                    keep = float(agent.manifest.records.keep)
                    await self.resources.records.purge(keep, [agent.name])
            await asyncio.sleep(_TIDY)


def queued(manifest: Manifest, bound: BoundEvent, source: str) -> Submission:
    """Return what a queue takes of an event that a trigger has made.

    Args:
        manifest: of the agent.
        bound: as the trigger made it.
        source: which trigger: a webhook's path, or `cli`.
    """
    return Submission(
        agent=bound.agent,
        trigger=bound.trigger,
        kind=bound.kind,
        subject=bound.subject,
        fields=bound.fields,
        payload=bound.payload,
        attempts=manifest.limits.attempts,
        source=source,
    )


def _timetables(agents: Iterable[ServedAgent]) -> Iterable[Timetable]:
    for agent in agents:
        for each in agent.manifest.triggers.schedule:
            yield Timetable(
                agent=agent.name,
                name=each.name,
                cron=each.cron,
                subject=each.subject or each.name,
                attempts=agent.manifest.limits.attempts,
            )
