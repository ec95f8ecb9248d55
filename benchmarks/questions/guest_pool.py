"""What does it cost to have guests in worker processes, and are they cut off in time?"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import MIB, Stage
from onecopy.errors import GuestTimeout
from onecopy.guests.wasm.module import Module
from onecopy.guests.windows.source import Source
from onecopy.guests.workers.handle import Guest
from onecopy.guests.workers.messages import Ping
from onecopy.guests.workers.pool import Pool

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
    with Pool(guest_ms=GUEST_MS, cache=stage.root / "modules") as pool:
        _note(stage, pool)
        module = pool.module(bytes(wasmtime.wat2wasm(GUEST)))
        calls = _calls(pool, module, rounds)
        opens = _opens(pool, module, rounds)
        loops, worst = _loops(pool, module, rounds)
    return Answer("guest_pool", [calls, opens, loops], [
        Target("engine → worker → guest → engine, idle worker", 40,
               calls.rows[OURS]["one after another"].median, "µs"),
        Target("new guest from the cache, 4 windows mapped", 500,
               opens.rows["opened"]["4 windows"].median, "µs"),
        Target("a looping guest cut off while the engine is busy, p99 in the worker", 5,
               worst, "ms"),
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
    with Guest(module, pool=pool) as guest:
        work = {
            OURS: lambda: guest.call("add", 1, 2),
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


def _loops(pool: Pool, module: Module, rounds: int) -> tuple[Table, float]:
    title = f"a looping guest with guest_ms={GUEST_MS} is cut off after"
    table = Table(title, "ms", ours="by the worker's clock")
    worst = 0.0
    for column, busy in (("engine idle", False), ("engine busy", True)):
        with _busy(busy):
            both = [_loop(pool, module) for _ in range(rounds * LOOPS)]
        inside = sorted(spent for spent, _ in both)
        table.put_row(table.ours, column, Summary.of(inside, 1e3))
        worst = inside[int(0.99 * len(inside))] * 1e3
        table.put_row(f"{table.ours}, p99", column, Summary.of([worst]))
        table.put_row("by the engine's clock", column, Summary.of([took for _, took in both], 1e3))
    return table, worst


def _loop(pool: Pool, module: Module) -> tuple[float, float]:
    with Guest(module, pool=pool) as guest:
        begin, before = now(), guest.seconds
        try:
            guest.call("loop")
        except GuestTimeout:
            pass
        return guest.seconds - before, now() - begin


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
