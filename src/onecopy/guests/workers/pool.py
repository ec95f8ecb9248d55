"""A pool of worker processes: placing guests, handing modules over, counting offences."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Final

from onecopy.errors import (
    GuestError,
    InvalidArgument,
    LimitReached,
    WorkerLost,
)
from onecopy.extras import require
from onecopy.guests.workers import pools
from onecopy.guests.workers.calls import CloseGuest
from onecopy.guests.workers.limits import Limits, checked_engines
from onecopy.guests.workers.modules import Modules
from onecopy.guests.workers.offenders import QUARANTINE, Offenders
from onecopy.guests.workers.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from onecopy.guests.wasm.module import Module
    from onecopy.guests.workers.remote import WorkerProcess

SERVICES: Final = ("onecopy.guests.workers.calls", "onecopy.guests.batch.sequences")
"""What every worker does for guests; imported before it is confined."""

_XGRAMMAR: Final = "onecopy.guests.decoding.xgrammar_engine"
_WAIT_SECONDS: Final = 30.0
_SLOW_START: Final = 120.0


class Pool:
    """Worker processes for guests; close it, or use it in a `with` block.

        with Pool(workers=2, guest_ms=5) as pool:
            guest = Guest("filter.wasm", {"frame": (frame, "rw")}, pool=pool)

    A worker serves one tenant at a time, and is replaced before it serves another one. A forked
    child cannot use its parent's pool, nor does it end it.

    Args:
        workers: how many processes.
        guest_ms: how long one call of a guest may run, unless the call says otherwise.
        step_ms: how long a step of a batch of controllers may take.
        start_ms: how long a guest may take to be made, and again to initialize itself.
        grace_ms: how far beyond its time a worker may be before it is ended, with all its guests:
            for hangs outside WebAssembly, which no guest can be cut off in.
        memory_limit: bytes of one guest's memory, unless the guest says otherwise.
        worker_memory: bytes that a worker may have for itself; one that has more is ended.
        per_tenant: how many workers one tenant may have; None is all of them.
        cache: the folder of compiled modules; see `compile_module`.
        grammar_engines: what compiles grammars in the workers. "xgrammar" has to be installed, and
            brings torch: workers start within seconds, and have 0.2 GB each, which count.

    Raises:
        UnsupportedValue: xgrammar is not installed.
        WorkerLost: the workers do not start; the text has what they said.
    """

    def __init__(
        self,
        workers: int = 1,
        *,
        guest_ms: float = 10,
        step_ms: float = 50,
        start_ms: float = 200,
        grace_ms: float = 500,
        memory_limit: int = 64 << 20,
        worker_memory: int = 1 << 30,
        per_tenant: int | None = None,
        cache: str | os.PathLike[str] | None = None,
        grammar_engines: Sequence[str] = ("llguidance",),
        services: tuple[str, ...] = SERVICES,
    ) -> None:
        if workers < 1:
            raise InvalidArgument(f"a pool has at least one worker, not {workers}")
        require("wasmtime", "llguidance")
        tenants = workers if per_tenant is None else per_tenant
        self._limits = Limits(
            guest_ms, step_ms, start_ms, grace_ms, memory_limit, worker_memory, tenants
        )
        self.grammar_engines = checked_engines(grammar_engines)
        if "xgrammar" in self.grammar_engines:
            services = (_XGRAMMAR, *services)  # others may start the engine, see worker.py
        self._wait_seconds = _SLOW_START if _XGRAMMAR in services else _WAIT_SECONDS
        self.guest_seconds, self.step_seconds = guest_ms / 1000, step_ms / 1000
        self.start_seconds, self.grace_seconds = start_ms / 1000, grace_ms / 1000
        self.memory_limit = memory_limit
        self.offenders = Offenders()
        self.guest_numbers = itertools.count(1)
        self._modules = Modules(cache)
        self._changed = threading.Condition()
        self._closed = ""
        self._watchdog = Watchdog(
            workers,
            services,
            memory=worker_memory,
            grace=self.grace_seconds,
            started=self._worker_started,
            ended=self._worker_ended,
        )
        pools.keep(self)
        self._watchdog.start()
        self._await_workers()

    @property
    def workers(self) -> list[WorkerProcess]:
        """The workers by index; one that has ended is there until the next has started."""
        return self._watchdog.workers

    def module(self, source: Module | bytes | os.PathLike[str] | str) -> Module:
        """Return a module, compiled, from Wasm bytes or the path of a file.

        Raises:
            InvalidModule, AccessDenied: see `compile_module`.
        """
        return self._modules.module(source)

    def place(self, tenant: str = "") -> WorkerProcess:
        """Return a worker for one more guest of a tenant; `leave` it when the guest has ended.

        Raises:
            LimitReached: every worker has guests of other tenants.
            WorkerLost: no worker came up in time.
        """
        self._sweep()
        end = time.monotonic() + self._wait_seconds
        with self._changed:
            while True:
                self.check_open()
                worker = self._choose(tenant)
                if worker is not None:
                    worker.tenant = tenant
                    worker.guests += 1
                    return worker
                if not self._changed.wait(end - time.monotonic()):
                    raise self._watchdog.failure or WorkerLost("no worker came up in time")

    def is_ready(self, tenant: str = "") -> bool:
        """Return whether `place` would not wait, as far as one can say."""
        return any(each.ready and each.tenant in (None, tenant) for each in self.workers)

    def leave(self, worker: WorkerProcess) -> None:
        """Take back a `place`."""
        with self._changed:
            worker.guests -= 1
            self._changed.notify_all()

    def _sweep(self) -> None:
        """Close the guests that their users forgot to close."""
        for worker in self.workers:
            with contextlib.suppress(IndexError):  # another thread may be at it, too
                while True:
                    self._close_guest(worker, worker.abandoned.pop())

    def _close_guest(self, worker: WorkerProcess, number: int) -> None:
        try:
            worker.request(CloseGuest(number))
        except WorkerLost:
            pass  # it took the guest along
        finally:
            worker.kept.remove(number)
            self.leave(worker)

    def _choose(self, tenant: str) -> WorkerProcess | None:
        ready = [each for each in self.workers if each.ready]
        mine = [each for each in ready if each.tenant == tenant]
        if len(mine) < self._limits.per_tenant:
            mine += [each for each in ready if each.tenant is None]
        if mine:
            return min(mine, key=lambda worker: worker.guests)
        if len(ready) < len(self.workers):
            return None  # one that starts is nobody's: no other need end
        idle = [each for each in ready if not each.guests]
        if idle:
            idle[0].kill("it was replaced for another tenant")
        else:
            raise LimitReached(
                f"all {len(ready)} workers have guests of other tenants; close some, or give the "
                "pool more workers"
            )
        return None

    def _worker_started(self, _: WorkerProcess) -> None:
        with self._changed:
            self._changed.notify_all()

    def _worker_ended(self, worker: WorkerProcess) -> None:
        doing = worker.progress.read()
        if worker.blamed and doing is not None and worker.tenant is not None:
            self.offenders.blame(worker.tenant, doing.culprit)
        with self._changed:
            self._changed.notify_all()

    def _await_workers(self) -> None:
        end = time.monotonic() + self._wait_seconds
        with self._changed:
            while not self.workers or not all(each.serves for each in self.workers):
                self._changed.wait(0.1)
                if self._watchdog.failure is not None or time.monotonic() > end:
                    break
            else:
                return
        self.close()
        raise self._watchdog.failure or WorkerLost("the workers did not start in time")

    def stats(self) -> dict[str, Any]:
        """Return what there is to know: workers, guests, memory, restarts, offences.

        `unfiltered` says why the system calls of workers are not filtered; "" if they are.
        """
        workers = [each for each in self.workers if each.alive]
        return {
            "workers": [
                {"index": each.index, "pid": each.pid, "tenant": each.tenant}
                | {"guests": each.guests, "memory": each.memory()}
                for each in workers
            ],
            "restarts": self._watchdog.restarts,
            "unfiltered": next((each.unfiltered for each in workers), ""),
            "offences": self.offenders.counts(),
            "quarantine": QUARANTINE,
        }

    def check_open(self) -> None:
        """Raise `GuestError` if the pool was closed, or belongs to another process."""
        if self._closed:
            raise GuestError(self._closed)

    def close(self) -> None:
        """End the workers and all that live in them; twice is fine."""
        if not self._closed:
            self._closed = "the pool was closed; make a new one"
            self._watchdog.stop()
            with self._changed:
                self._changed.notify_all()

    def forsake(self) -> None:
        """Drop it in a forked child: workers are their parent's."""
        if not self._closed:
            self._closed = "the pool belongs to the process that this one was forked from"
            self._changed = threading.Condition()
            self._watchdog.forsake()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
