"""Workers held or ended, and what comes out in spite of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from onecopy.guests.batch.answers import Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.test_controllers import decode
from tests.guests.waiting import eventually


@contextmanager
def stopped(pool: Pool) -> Iterator[None]:
    """Hold a worker inside the block."""
    (worker,) = pool.workers
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.pid, signal.SIGCONT)


def settled(controllers: Controllers, sequence) -> object:
    """Step until there is an answer; return the last step."""
    steps = []

    def answered() -> bool:
        steps.append(controllers.step({sequence: []}))
        return not isinstance(steps[-1].outcomes[sequence], Suspended)

    eventually(answered)
    return steps[-1]


def reference(vocabulary, scripted, config: str, steps: int) -> list[list[int]]:
    """The masks of a run in which nothing happened."""
    with (
        Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool,
        Controllers(None, vocabulary, pool, batch=1, keep=0) as controllers,
    ):
        return decode(controllers, [controllers.open(scripted, config)], steps)[0]


def replace_worker(pool: Pool, number: int = signal.SIGKILL) -> None:
    """Kill the worker, and return when another one has taken its place."""
    old = list(pool.workers)
    os.kill(old[0].pid, number)
    eventually(lambda: pool.workers != old)
