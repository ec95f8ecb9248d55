"""The workers of one agent, as the server uses them.

async with Workers(Path("agent.wasm"), name="echo") as workers:
    outcome = await workers.run('{"id": "1"}', host)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from typing import TYPE_CHECKING

from onecopy.agents import outcome
from onecopy.agents.outcome import Outcome
from onecopy.agents.worker.component import compile_component
from onecopy.agents.worker.limits import GIVEN_NBYTES, Limits
from onecopy.agents.worker.remote import RemoteWorker
from onecopy.agents.worker.start import Start
from onecopy.errors import InvalidEvent, StoreClosed, WorkerLost
from onecopy.guests.wasm.module import read_wasm
from onecopy.guests.workers.messages import memfd

if TYPE_CHECKING:
    from pathlib import Path

    from onecopy.agents.calls import Host
    from onecopy.agents.worker.limits import HasLimits

_log = logging.getLogger(__name__)


class Workers:
    """Runs one agent, many runs at once, in processes of its own.

    Args:
        component: the agent's component, or where it is.
        limits: of each run; anything with the attributes of `Limits`.
        name: the agent's, for texts.
        processes: how many workers there are.
        cache: the folder of compiled components; by default the user's.

    It belongs to one event loop, whose thread the processes end with.
    """

    def __init__(
        self,
        component: Path | bytes,
        limits: HasLimits | None = None,
        *,
        name: str = "agent",
        processes: int = 1,
        cache: Path | None = None,
    ) -> None:
        self.name = name
        self.running = 0
        """Runs at present, without those that wait for their turn."""
        self.started = 0
        """Runs that have begun."""
        self.lost = 0
        """Of those, how many ended with their worker."""
        self._component = component
        self._cache = cache
        self._limits = Limits() if limits is None else Limits.of(limits)
        self._slots: list[_Slot] = [_Slot(self) for _ in range(processes)]
        self._turns = asyncio.Semaphore(self._limits.concurrent)
        self._compiling = asyncio.Lock()
        self._native = -1
        self._closed = False

    async def __aenter__(self) -> Workers:
        """Compile the component, and start the workers."""
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        """End the workers."""
        await self.close()

    @property
    def pids(self) -> list[int]:
        """The processes of the workers that are ready."""
        return [each.worker.pid for each in self._slots if each.worker and not each.worker.lost]

    @property
    def unfinished(self) -> int:
        """How many runs their workers have not ended, cancelled ones among them."""
        return sum(each.running for each in self._slots)

    async def start(self) -> None:
        """Have all workers ready; `run` does it otherwise.

        Raises:
            InvalidModule: the component is no agent; the text says why.
            WorkerLost: a worker did not start.
        """
        await asyncio.gather(*(each.get() for each in self._slots))

    async def run(self, event: str, host: Host, start: Start | None = None) -> Outcome:
        """Run the agent with an event, as JSON; `host` answers its calls.

        What fails in the agent or its worker is an outcome. If the caller is cancelled, or the host
        raises something, the run ends.

        Raises:
            InvalidModule: the component is no agent; the text says why.
            InvalidEvent: over 16 MiB.
            StoreClosed: it is closed.
        """
        asked = time.monotonic()
        if len(event.encode(errors="replace")) > GIVEN_NBYTES:
            raise InvalidEvent(f"an event over {GIVEN_NBYTES >> 20} MiB; send what is needed")
        async with self._turns:
            try:
                worker = await min(self._slots, key=lambda each: each.running).get()
            except WorkerLost as error:
                return Outcome(outcome.LOST, str(error))
            self.started += 1
            self.running += 1
            try:
                result = await worker.run(event, host, start or Start.new(), asked)
            finally:
                self.running -= 1
        self.lost += result.status == outcome.LOST
        return result

    async def close(self) -> None:
        """End the workers and the runs in them; twice is fine."""
        self._closed = True
        await asyncio.gather(*(each.close() for each in self._slots))
        if self._native >= 0:
            os.close(self._native)
            self._native = -1

    async def new_worker(self) -> RemoteWorker:
        """Start a process."""
        async with self._compiling:
            if self._native < 0 and not self._closed:
                await asyncio.to_thread(self._compile)
        if self._closed:
            raise StoreClosed(f"the workers of agent {self.name} are closed; make others")
        return await RemoteWorker.started(self._native, self._limits, self.name)

    def _compile(self) -> None:
        wasm = read_wasm(self._component)
        module = compile_component(wasm, self._cache)
        self._limits = self._limits.shared(wasm)
        self._native = memfd(module.native)


class _Slot:
    """One worker after the other: whoever needs one when there is none starts it."""

    def __init__(self, pool: Workers) -> None:
        self.worker: RemoteWorker | None = None
        self._pool = pool
        self._starting: asyncio.Task[RemoteWorker] | None = None

    @property
    def running(self) -> int:
        return len(self.worker.running) if self.worker else 0

    async def get(self) -> RemoteWorker:
        if self.worker is not None and self.worker.lost is None:
            return self.worker
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> RemoteWorker:
        try:
            self.worker = await self._pool.new_worker()
            return self.worker
        finally:
            self._starting = None

    async def close(self) -> None:
        if self._starting is not None:
            with contextlib.suppress(Exception):
                await self._starting
        if self.worker is not None:
            self.worker.kill("the workers are closed")
            await self.worker.closed()
