"""Models run by plan beside the same models as they are, measured in a process of its own.

Run by the benchmark as ``python -m benchmarks.planned SHAPES ROUNDS [MODEL …]``; prints JSON.
"""

from __future__ import annotations

import gc
import json
import math
import random
import sys
import time
from typing import Any

import torch

from benchmarks.architectures import ARCHITECTURES, Architecture
from onecopy import planner

SIZES = {"small": 0.06, "middle": 0.5, "largest": 1.0}
# So much time goes into one sample, at least.
SAMPLE = 0.02
now = time.perf_counter


def main() -> None:
    """Measure, and print what was found."""
    shapes, rounds = int(sys.argv[1]), int(sys.argv[2])
    wanted = sys.argv[3:] or list(ARCHITECTURES)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with torch.no_grad():
        found = {name: _measure(ARCHITECTURES[name], shapes, rounds) for name in wanted}
    json.dump(found, sys.stdout)


def _measure(architecture: Architecture, shapes: int, rounds: int) -> dict[str, Any]:
    model = architecture.build().eval()
    largest = architecture.inputs(*architecture.bounds)
    begin = now()
    run = planner.bind_module(model, (largest,))
    bound = now() - begin
    eager = planner.record(model, largest).peak
    alike = [_same(architecture, model, run, scale) for scale in _random(shapes)]
    missed = run.stats()
    alike.append(_same(architecture, model, run, [1.0] * 2))
    stats = run.stats()
    found = {
        "bind": bound,
        "arena": stats.planned_nbytes / stats.lower_bound,
        "memory": stats.peak_nbytes / eager,
        "eager": eager,
        "misses": missed.misses,
        "displaced": missed.displaced,
        "exact": all(alike),
        "times": {
            title: _times(model, run, _inputs(architecture, [scale] * 2), rounds)
            for title, scale in SIZES.items()
        },
    }
    run.close()
    return found


def _inputs(architecture: Architecture, scale: list[float]) -> torch.Tensor:
    parts = zip(architecture.bounds, scale, strict=False)
    return architecture.inputs(*(max(1, round(high * part)) for high, part in parts))


def _random(count: int) -> list[list[float]]:
    draw = random.Random(1)
    return [[draw.random(), draw.random()] for _ in range(count)]


def _same(architecture: Architecture, model: Any, run: Any, scale: list[float]) -> bool:
    x = _inputs(architecture, scale)
    return bool(torch.equal(model(x), run(x)))


def _times(model: Any, run: Any, x: torch.Tensor, rounds: int) -> dict[str, list[float]]:
    """Of single calls, the two taking turns in an order that changes; results are dropped first."""
    samples: dict[str, list[float]] = {"eager": [], "planned": []}
    calls = {"eager": model, "planned": run}
    once = min(_time(call, x, 1) for call in calls.values() for _ in range(2))
    count = max(1, math.ceil(SAMPLE / once))
    gc.collect()
    gc.disable()
    for turn in range(rounds):
        for name in sorted(calls, reverse=turn % 2 == 1):
            samples[name].append(_time(calls[name], x, count))
    gc.enable()
    return samples


def _time(call: Any, x: torch.Tensor, count: int) -> float:
    """Of this thread, which does it all: what others take of the core is not in it."""
    begin = time.thread_time()
    for _ in range(count):
        call(x)
    return (time.thread_time() - begin) / count


if __name__ == "__main__":
    main()
