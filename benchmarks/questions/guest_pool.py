"""What does it cost to have guests in worker processes, and are they cut off in time?"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.cutting import Loop, Took
from benchmarks.rulers import Responder
from benchmarks.stage import MIB, Stage
from onecopy.guests.wasm.module import Module
from onecopy.guests.windows.source import Source
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.messages import Ping
from onecopy.guests.workers.pool import SERVICES, Pool
from onecopy.guests.workers.remote import WorkerProcess

GUEST = """
(module
  (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "loop") (loop (br 0))))
"""
GUEST_MS = 2
CALLS = 2_000  # of one round; of all else, less
LOOPS = 60
PAUSE = 0.001
OURS = "through Guest.call"
RULER = "two bare processes, one message each way"
now = time.perf_counter


class Shown:
    """A megabyte that can be a window."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("window", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, MIB)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)

    def window_source(self) -> Source:
        """A new source, as each window needs one."""
        return Source(os.dup(self.fd), 0, 0, MIB, "U8", (MIB,), (1,))


def ask(stage: Stage) -> Answer:
    """Call an idle guest, open guests, and let some loop while this process is busy or not."""
    import wasmtime

    rounds = stage.scale.rounds
    services = (*SERVICES, "benchmarks.cutting")
    with Pool(guest_ms=GUEST_MS, services=services, cache=stage.root / "modules") as pool:
        _note(stage, pool)
        module = pool.module(bytes(wasmtime.wat2wasm(GUEST)))
        calls = _calls(pool, module, rounds)
        opens = _opens(pool, module, rounds)
        loops, clock, processor = _loops(pool, module, rounds)
    return Answer("guest_pool", [calls, opens, loops], [
        Target("engine → worker → guest → engine, idle worker", 40,
               calls.rows[OURS]["one after another"].median, "µs"),
        Target("new guest from the cache, 4 windows mapped", 500,
               opens.rows["opened"]["4 windows"].median, "µs"),
        clock, processor,
    ])  # fmt: skip


def _note(stage: Stage, pool: Pool) -> None:
    """Say what a worker needs, and whether it is confined as it should be."""
    stats = pool.stats()
    memory = stats["workers"][0]["memory"] / MIB
    stage.notes.append(f"a worker without guests has {memory:.0f} MiB for itself")
    if stats["unfiltered"]:
        stage.notes.append(f"system calls are not filtered: {stats['unfiltered']}")


def _calls(pool: Pool, module: Module, rounds: int) -> Table:
    table = Table("one call, there and back", "µs", ours=OURS)
    with Guest(module, pool=pool) as guest, closing(Responder()) as bare:
        work = {
            OURS: lambda: guest.call("add", 1, 2),
            RULER: bare.ask,
            "an empty message (Ping)": lambda: guest.worker.request(Ping()),
        }
        for title, act in work.items():
            times = [_time(act) for _ in range(rounds * CALLS)]
            table.put_row(title, "one after another", Summary.of(times, 1e6))
            times = [_time(act, PAUSE) for _ in range(rounds * CALLS // 10)]
            table.put_row(title, f"{PAUSE * 1000:g} ms apart", Summary.of(times, 1e6))
        before = guest.seconds
        for _ in range(CALLS):
            guest.call("add", 1, 2)
        inside = (guest.seconds - before) / CALLS
        table.put_row("within the worker (mean)", "one after another", Summary.of([inside], 1e6))
    return table


def _time(act: Any, pause: float = 0) -> float:
    if pause:
        time.sleep(pause)
    begin = now()
    act()
    return now() - begin


def _opens(pool: Pool, module: Module, rounds: int) -> Table:
    table = Table("a guest of a module that was met before", "µs", ours="opened")
    shown = Shown()
    for count in (0, 4):
        windows = {f"window {number}": shown for number in range(count)}
        opened, closed = [], []
        for _ in range(rounds * CALLS // 20):
            begin = now()
            guest = Guest(module, windows, pool=pool)
            opened.append(now() - begin)
            closed.append(_time(guest.close))
        table.put_row("opened", f"{count} windows", Summary.of(opened, 1e6))
        table.put_row("closed", f"{count} windows", Summary.of(closed, 1e6))
    os.close(shown.fd)
    return table


def _loops(pool: Pool, module: Module, rounds: int) -> tuple[Table, Target, Target]:
    title = f"a looping guest with guest_ms={GUEST_MS} is cut off after"
    table = Table(title, "ms", ours="by the worker's clock")
    worker = pool.workers[0]
    worker.ensure(module)
    for column, busy in (("engine idle", False), ("engine busy", True)):
        with _busy(busy):
            cuts = [_loop(worker, module) for _ in range(rounds * LOOPS)]
        rows = {
            table.ours: [each.clock for each, _ in cuts],
            "of that, on a processor": [each.processor for each, _ in cuts],
            "by the engine's clock": [outside for _, outside in cuts],
        }
        for row, times in rows.items():
            table.put_row(row, column, Summary.of(times, 1e3))
            tail = sorted(times)[int(0.99 * len(times))]
            table.put_row(f"{row}, p99", column, Summary.of([tail], 1e3))
    work = "a looping guest cut off while the engine is busy, p99 in the worker"
    clock, processor = (
        table.rows[f"{row}, p99"]["engine busy"].median
        for row in (table.ours, "of that, on a processor")
    )
    return (
        table,
        Target(work, 5, clock, "ms"),
        Target(f"{work}, on a processor", 5, processor, "ms"),
    )


def _loop(worker: WorkerProcess, module: Module) -> tuple[Took, float]:
    begin = now()
    took = worker.request(Loop(module.digest, GUEST_MS / 1000))
    return took, now() - begin


@contextmanager
def _busy(wanted: bool) -> Iterator[None]:
    """Have a thread that keeps the interpreter to itself, as far as it is let."""
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            sum(range(1000))

    thread = threading.Thread(target=count)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if wanted:
            thread.join()
