"""Do planned models need less memory and no more time than they do eagerly, bit for bit alike?"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import SMALLEST, Stage

SHAPES = 60
LIMITS = {"small": 1.05, "middle": 1.05, "largest": 1.15}
OWN = ("MLP", "GPT")  # the smallest size does without transformers, which takes long to import
WAYS = ("planned", "eager")
TURNS = 5  # of eager and planned, for each round of the scale


def ask(stage: Stage) -> Answer:
    """Plan the models at their bounds, run each at random shapes, and time three of them."""
    found = _measure(stage)
    memory = Table("memory of a planned run, by the plan and as counted", "x", ours="MLP")
    process = Table("memory of the process at the bounds, over before", "MB", ours="planned")
    times = [Table(f"one call, {size}", "ms", ours="planned") for size in LIMITS]
    targets = []
    small = stage.scale is SMALLEST
    weighed, ways = (list(found)[:1], WAYS[:1]) if small else (list(found), WAYS)
    for name, model in found.items():
        memory.put_row(name, "arena / lower bound", Summary.of([model["arena"]]))
        memory.put_row(name, "arena + outputs / eager's peak", Summary.of([model["memory"]]))
        for way in ways if name in weighed else ():
            nbytes = int(_run("benchmarks.planned_memory", name, way))
            process.put_row(way, name, Summary.of([nbytes / 1e6]))
        for table, size in zip(times, LIMITS, strict=True):
            for way, samples in model["times"][size].items():
                table.put_row(way, name, Summary.of(samples, 1e3))
        targets += _targets(name, model)
    return Answer("plan_models", [memory, process, *times], targets)


def _targets(name: str, model: dict[str, Any]) -> list[Target]:
    return [
        Target(f"{name}: arena over the lower bound", 1.01, model["arena"], "x"),
        Target(f"{name}: arena and outputs over eager's peak", 1.02, model["memory"], "x"),
        Target(f"{name}: misses over random shapes", 0, model["misses"]),
        Target(f"{name}: results that differ in a bit", 0, 0 if model["exact"] else 1),
        *(
            Target(f"{name}: time over eager, {size}", limit, _ratio(model["times"][size]), "x")
            for size, limit in LIMITS.items()
        ),
    ]


def _ratio(samples: dict[str, list[float]]) -> float:
    return Summary.of(samples["planned"]).median / Summary.of(samples["eager"]).median


def _measure(stage: Stage) -> Any:
    small = stage.scale is SMALLEST
    shapes, turns = (6, 1) if small else (SHAPES, stage.scale.rounds * TURNS)
    return json.loads(_run("benchmarks.planned", str(shapes), str(turns), *(OWN if small else ())))


def _run(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return done.stdout
