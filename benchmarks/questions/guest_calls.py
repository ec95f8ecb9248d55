"""What does a guest cost in the process that it lives in: calls, windows, memory, a new one?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import Stage, named

CALLS = ("host to guest, in a batch", "guest to host")
NEW = "from Wasm, with 4 windows"
MAPPED, GUEST, HOST = "mapped", "read by the guest", "read by the host"


def ask(stage: Stage) -> Answer:
    """Call a guest and be called by it; make new ones; show them a table and a large tensor."""
    nbytes = stage.scale.block
    found = _measure(stage, nbytes, stage.scale.rounds)
    calls = _table("one call", "µs", found["calls"], CALLS[0], 1e6)
    new = _table("a new guest, its module in the cache", "µs", found["new"], NEW, 1e6)
    title = f"{named(nbytes)} given to a guest"
    large = _table(title, "ms", found["large"], MAPPED, 1e3)
    memory = Table("memory of 64 guests that have read one table of 1.5 MB", "MB", ours="windows")
    for kind, size in found["memory"].items():
        memory.put_row(kind, "added", Summary.of([size / 1e6]))
    host, guest = (large.rows[kind]["time"].median for kind in (HOST, GUEST))
    return Answer("guest_calls", [calls, new, memory, large], [
        Target(f"{CALLS[0]}: call", 2.5, calls.rows[CALLS[0]]["time"].median, "µs"),
        Target(f"{CALLS[1]}: call", 1.0, calls.rows[CALLS[1]]["time"].median, "µs"),
        Target(f"new guest {NEW}", 500, new.rows[NEW]["time"].median, "µs"),
        Target("64 guests with a window of 1.5 MB", 5, found["memory"]["windows"] / 1e6, "MB"),
        Target(f"{title}, mapped", 20, large.rows[MAPPED]["time"].median * 1e3, "µs"),
        Target(f"{title}, mapped and read once, over the host", 1.5, guest / host, "x"),
    ])  # fmt: skip


def _table(title: str, unit: str, found: dict[str, list[float]], ours: str, scale: float) -> Table:
    table = Table(title, unit, ours=ours)
    for kind, times in found.items():
        table.put_row(kind, "time", Summary.of(times, scale))
    return table


def _measure(stage: Stage, nbytes: int, rounds: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.instances", str(nbytes), str(rounds)]
    own = {
        "ONECOPY_RUNTIME_DIR": str(stage.root / "run"),
        "XDG_CACHE_HOME": str(stage.root / "cache"),
    }
    done = subprocess.run(
        command, env={**os.environ, **own}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)
