"""Watches the workers of a pool: starts them, ends those that hang or grow, and replaces the ended.

One thread of the engine's process does all of this. It starts the workers too, and lives as long
as they do: the kernel ends a worker when the thread that started it ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Final

from onecopy.errors import WorkerLost
from onecopy.guests.workers.line import PATIENCE
from onecopy.guests.workers.remote import WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("onecopy.guests")

INTERVAL_MS: Final = 20
_LONGEST_WAIT: Final = 10.0
# A worker that lived so long did not fail at its start.
_SETTLED: Final = 2.0


class Watchdog:
    """The thread; `workers` has one for each index, which may have ended or be starting."""

    def __init__(
        self,
        count: int,
        services: tuple[str, ...],
        *,
        memory: int,
        grace: float,
        started: Callable[[WorkerProcess], object],
        ended: Callable[[WorkerProcess], object],
    ) -> None:
        self._thread = threading.Thread(target=self._run, name="guest workers", daemon=True)
        self.workers: list[WorkerProcess] = []
        self.failure: WorkerLost | None = None
        """Why the last worker that was started did not come up."""
        self.restarts = 0
        self._count = count
        self._services = services
        self._memory = memory
        self._grace = int(grace * 1e9)
        self._started, self._ended = started, ended
        self._starting: set[WorkerProcess] = set()
        self._delays = [0.0] * count
        self._due: dict[int, float] = {}
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def start(self) -> None:
        """Start the workers, and watch them until `stop`."""
        self._thread.start()

    def _run(self) -> None:
        try:
            for index in range(self._count):
                self.workers.append(self._start(index))
            while not self._stopping:
                self._turn()
        except OSError as error:
            self.failure = WorkerLost(f"a worker could not be started: {error}")
        finally:
            self._end_all()

    def stop(self) -> None:
        """End the workers and the thread; returns when they have ended."""
        self._stopping = True
        os.eventfd_write(self._wake, 1)
        self._thread.join()
        os.close(self._wake)

    def _start(self, index: int) -> WorkerProcess:
        worker = WorkerProcess(index, self._services)
        self._starting.add(worker)
        return worker

    def _turn(self) -> None:
        ready = self._wait()
        for worker in [each for each in self._starting if each.fileno() in ready]:
            self._welcome(worker)
        for worker in [each for each in self.workers if each.alive]:
            if worker.pidfd in ready:
                self._bury(worker)
            else:
                self._look_at(worker)
        self._restart()

    def _wait(self) -> set[int]:
        poll = select.poll()
        alive = [each.pidfd for each in self.workers if each.alive]
        for fd in (self._wake, *alive, *(each.fileno() for each in self._starting)):
            poll.register(fd, select.POLLIN)
        return {fd for fd, _ in poll.poll(INTERVAL_MS)}

    def _welcome(self, worker: WorkerProcess) -> None:
        try:
            worker.await_ready()
        except WorkerLost:
            self._bury(worker)
            self.failure = worker.lost()
            return
        self._starting.discard(worker)
        self._started(worker)

    def _bury(self, worker: WorkerProcess) -> None:
        worker.finish(self._ended)
        self._starting.discard(worker)
        self._due[worker.index] = time.monotonic() + self._delay(worker)
        if worker.tenant is not None and worker.guests:
            log.warning("worker %d is gone: %s", worker.index, worker.reason)

    def _delay(self, worker: WorkerProcess) -> float:
        """Return how long to wait before the next one: longer each time, if they die young."""
        delay = self._delays[worker.index]
        settled = time.monotonic() - worker.started > _SETTLED
        longest = _LONGEST_WAIT / 20 if worker.serves else _LONGEST_WAIT
        self._delays[worker.index] = 0.0 if settled else min(max(2 * delay, 0.05), longest)
        return delay

    def _look_at(self, worker: WorkerProcess) -> None:
        if worker in self._starting:
            if time.monotonic() - worker.started > PATIENCE:
                worker.kill("it did not start")
            return
        doing = worker.progress.read()
        if doing is not None:
            late = time.monotonic_ns() - doing.since - doing.budget
            if late > self._grace:
                worker.kill(
                    f"it hung for {late / 1e6:.0f} ms in what it did for a guest", fault=True
                )
        used = worker.memory()
        if used > self._memory:
            worker.kill(
                f"it used {used} bytes, and its limit is worker_memory={self._memory}", fault=True
            )

    def _restart(self) -> None:
        now = time.monotonic()
        for index in [index for index, due in self._due.items() if due <= now]:
            self._due[index] = now + _LONGEST_WAIT
            try:
                self.workers[index] = self._start(index)
            except OSError as error:  # out of descriptors, processes or memory: not for ever
                log.error("a worker could not be started: %s", error)
                continue
            del self._due[index]
            self.restarts += 1

    def _end_all(self) -> None:
        for worker in self.workers:
            worker.kill("the pool was closed")
        self._starting.clear()
        for worker in self.workers:
            worker.finish(self._ended)

    def forsake(self) -> None:
        """Drop all in a forked child, where this thread does not run."""
        for worker in self.workers:
            worker.forsake()
        with contextlib.suppress(OSError):
            os.close(self._wake)
