"""The demo's plot: one model, three crews one after the other, a killing, and an inventory."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TYPE_CHECKING

import onecopy
from onecopy.demo.check import Check, soon
from onecopy.demo.checkpoint import Checkpoint
from onecopy.demo.crew import Crew
from onecopy.demo.measurement import Measurement, measure
from onecopy.demo.memory import memory_of
from onecopy.demo.shm import named_after, shm_files, used_by
from onecopy.demo.variant import Variant
from onecopy.demo.worker import Job, Order

if TYPE_CHECKING:
    from onecopy.store.client import Store

ENTRY = "model"


@dataclass
class Outcome:
    """Everything that the demo measured and checked."""

    put_seconds: float = 0.0
    entry_nbytes: int = 0
    measurements: list[Measurement] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


@dataclass
class Story:
    """Plays the demo once; `say` is told what is going on."""

    context: ForkServerContext
    checkpoint: Checkpoint
    workers: int
    say: Callable[[str], None]
    store_name: str = field(default_factory=lambda: f"demo-{os.getpid()}")
    outcome: Outcome = field(default_factory=Outcome)
    pids: set[int] = field(default_factory=lambda: {os.getpid()})
    shm: set[str] = field(default_factory=set)

    def play(self) -> Outcome:
        """Run everything; what does not hold is a failed check in the outcome."""
        before = shm_files()
        with onecopy.start(self.store_name, capacity=self._capacity) as store:
            self.pids.add(store.pid)
            self._put(store)
            for variant in (Variant.COPY, Variant.FILE):
                with self._hire(variant) as crew:
                    self._measure(crew, variant)
            with self._hire(Variant.STORE) as crew:
                self._measure(crew, Variant.STORE)
                self._charge(store)
                self._compare()
                self._kill_one(crew, store)
            self._take_stock(store)
        self._look_for_leftovers(before)
        return self.outcome

    @property
    def _capacity(self) -> int:
        return 2 * self.checkpoint.nbytes + (64 << 20)

    def _put(self, store: Store) -> None:
        self.say("putting the model in a store …")
        tensors = self.checkpoint.tensors()
        start = time.perf_counter()
        store.save(ENTRY, tensors)
        self.outcome.put_seconds = time.perf_counter() - start
        self.outcome.entry_nbytes = store.stat(ENTRY).nbytes

    def _hire(self, variant: Variant) -> Crew:
        self.say(f"{self.workers} workers: {' '.join(variant.value.split())} …")
        job = Job(variant, self.checkpoint.directory, self.store_name, ENTRY)
        crew = Crew(self.context, job, self.workers)
        self.pids.update(crew.pids)
        return crew

    def _measure(self, crew: Crew, variant: Variant) -> None:
        self.outcome.measurements.append(measure(crew, variant))
        self.shm |= used_by(self.pids)

    def _charge(self, store: Store) -> None:
        """Count what the store costs beside its workers."""
        measured = self.outcome.measurements.pop()
        daemon, nbytes = memory_of([store.pid]), self.outcome.entry_nbytes
        self.outcome.measurements.append(replace(measured, entry_nbytes=nbytes, daemon=daemon))

    def _check(self, claim: str, held: bool, trouble: str) -> None:
        self.outcome.checks.append(Check(claim, held, trouble))

    def _compare(self) -> None:
        different = {v for m in self.outcome.measurements for v in m.vectors}
        self._check(
            "all workers of all columns computed the same embeddings, bit for bit",
            len(different) == 1 and all(different),
            f"there are {len(different)} different results",
        )

    def _kill_one(self, crew: Crew, store: Store) -> None:
        self.say("killing a worker …")
        known = self.outcome.measurements[-1].vectors[0]
        code = crew.kill_one_at_work()
        self._check("one worker was killed (SIGKILL) while it embedded", code == -9, f"exit {code}")
        again = [done.vectors for done in crew.all_do(Order.EMBED)]
        same = set(again) == {known}
        self._check("the others still embed the same vectors", same, "their vectors changed")
        in_use = store.stat(ENTRY).in_use
        self._check("the store knows that its entry is still in use", in_use, "in_use is False")

    def _take_stock(self, store: Store) -> None:
        free = soon(lambda: not store.stat(ENTRY).in_use)
        self._check("with all workers gone, nobody uses the entry", free, "in_use is still True")
        store.remove(ENTRY)
        empty = soon(lambda: _used(store) == 0) and not store.names()
        trouble = f"{_used(store)} bytes are used, by {store.names()}"
        self._check("with the entry removed, the store is empty: 0 bytes used", empty, trouble)

    def _look_for_leftovers(self, before: set[str]) -> None:
        empty = soon(lambda: not self._files(before))
        trouble = ", ".join(sorted(self._files(before)))
        self._check("nothing of theirs is left in /dev/shm", empty, trouble)
        gone = soon(lambda: not self._living())
        self._check("no worker process is left, nor the store's", gone, f"pids {self._living()}")

    def _files(self, before: set[str]) -> set[str]:
        return ((self.shm & shm_files()) | named_after(self.pids)) - before

    def _living(self) -> list[int]:
        others = self.pids - {os.getpid()}
        return [pid for pid in others if Path(f"/proc/{pid}").exists()]


def _used(store: Store) -> int:
    return store.stats().used
