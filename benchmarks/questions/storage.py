"""What does a save cost of what was allocated in the store, and what does the allocating cost?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import Stage, named

INSIDE, OUTSIDE = "in storage()", "elsewhere"


def ask(stage: Stage) -> Answer:
    """Build and save a module in the block and outside; run operators in it and outside."""
    scale = stage.scale
    found = _measure(stage, scale.block, scale.rounds)
    work = f"save of a module of {named(scale.block)}"
    saves = Table(work, "ms", ours=INSIDE)
    for title, times in found["saves"].items():
        saves.put_row(title, "save", Summary.of(times, 1e3))
    operators = Table("one call", "µs", ours="inside")
    for title, both in found["operators"].items():
        for place, times in both.items():
            operators.put_row(place, title, Summary.of(times, 1e6))
    return Answer("storage", [saves, operators], [
        Target(f"{work} made in storage()", 3.0, saves.rows[INSIDE]["save"].median, "ms"),
        Target("peak memory of building and saving it, over the module", 1.02, found["peak"], "x"),
        *(Target(f"{title} inside the block, over outside", 1.05, _ratio(both), "x")
          for title, both in found["operators"].items()),
    ])  # fmt: skip


def _measure(stage: Stage, nbytes: int, rounds: int) -> Any:
    command = [sys.executable, "-m", "benchmarks.block", str(nbytes), str(rounds)]
    environment = {**os.environ, "ONECOPY_RUNTIME_DIR": str(stage.root / "run")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return json.loads(done.stdout)


def _ratio(both: dict[str, list[float]]) -> float:
    """Of the medians: each sample is of many calls, and the two took turns."""
    return Summary.of(both["inside"]).median / Summary.of(both["outside"]).median
