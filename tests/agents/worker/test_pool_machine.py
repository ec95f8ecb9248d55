"""Workers as a state machine: whatever happens, each run ends once, and nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecopy.agents.outcome import ERROR, FAILED, LOST, OK
from tests.agents.worker.hosts import Scripted, Silent
from tests.conftest import open_files

# What a run can come to if nobody interferes.
ENDS = {
    '"echo"': {OK},
    '"x"': {ERROR},
    '"trap"': {FAILED},
    '"flood"': {FAILED},
    '"recurse"': {FAILED},
    '"Write"': {OK},
    '"call"': {OK},
    '"waits"': set(),
    '"Sleep"': set(),
}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("run"), st.sampled_from(sorted(ENDS))),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
        st.tuples(st.just("kill"), st.integers(0, 1)),
        st.tuples(st.just("turn"), st.integers(1, 3)),
        st.tuples(st.just("settle"), st.just(0)),
    ),
    max_size=25,
)


class Machine:
    """Carries out steps with a pool, and looks at each run's end."""

    def __init__(self, pool) -> None:
        self.pool = pool
        self.tasks: list[asyncio.Task] = []
        self.events: list[str] = []
        self.killed = False

    async def run(self, event: str) -> None:
        host = Silent() if event == '"waits"' else Scripted('"answer"')
        # The agent calls its host for "c…" and "w…" would write for ever.
        said = '"call"' if event == '"waits"' else event
        self.tasks.append(asyncio.create_task(self.pool.run(said, host)))
        self.events.append(event)

    async def cancel(self, number: int) -> None:
        if number < len(self.tasks):
            self.tasks[number].cancel()

    async def kill(self, number: int) -> None:
        pids = self.pool.pids
        if number < len(pids):
            self.killed = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pids[number], signal.SIGKILL)

    async def turn(self, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(0)

    async def settle(self, _: int) -> None:
        """Wait for the runs that end by themselves."""
        ending = [task for task, event in zip(self.tasks, self.events, strict=True) if ENDS[event]]
        if ending:
            await asyncio.wait(ending)

    def check(self) -> None:
        """Each run has ended, as it can."""
        for task, event in zip(self.tasks, self.events, strict=True):
            assert task.done()
            if task.cancelled():
                continue
            status = task.result().status
            lost = {LOST} if self.killed or not ENDS[event] else set()
            assert status in ENDS[event] | lost, (event, task.result())
        assert self.pool.running == 0


@pytest.mark.timeout(300)
@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_each_run_ends_once_and_nothing_is_left(workers, steps):
    async def main() -> list[int]:
        async with workers(processes=2, calls=20) as pool:
            machine = Machine(pool)
            for name, argument in steps:
                await getattr(machine, name)(argument)
            await machine.settle(0)
            assert (await pool.run('"echo"', Scripted())).status in {OK, LOST}
            pids = pool.pids
            await pool.close()
            await asyncio.gather(*machine.tasks, return_exceptions=True)
            machine.check()
            return pids

    before = open_files()
    pids = asyncio.run(main())
    gc.collect()
    assert open_files() <= before
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()
