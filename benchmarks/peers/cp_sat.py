"""Packs a problem with OR-Tools' CP-SAT; runs in an environment of its own, without onecopy.

``python cp_sat.py FILE.csv CAPACITY SECONDS`` prints a JSON object: seconds of
processor time, and the peak of the plan that was found, or null.
"""

from __future__ import annotations

import csv
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

WORKERS = 2


def main() -> None:
    """Read, solve, and say what came of it."""
    path, capacity, seconds = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    with path.open(newline="") as file:
        rows = [{name: int(row[name]) for name in ("lower", "upper", "size")}
                for row in csv.DictReader(file)]  # fmt: skip
    begin = time.process_time()
    peak = solve(rows, capacity, seconds)
    sys.stdout.write(json.dumps({"seconds": time.process_time() - begin, "peak": peak}))


def solve(rows: list[dict[str, int]], capacity: int, seconds: float) -> int | None:
    """Boxes that do not overlap: time is given, addresses are free; their sum is bounded, too."""
    from ortools.sat.python import cp_model

    unit = math.gcd(*(row["size"] for row in rows))
    model = cp_model.CpModel()
    times, places, offsets, sizes = [], [], [], []
    for number, row in enumerate(rows):
        size = row["size"] // unit
        offset = model.new_int_var(0, capacity // unit - size, f"offset {number}")
        times.append(_interval(model, row["lower"], row["upper"] - row["lower"], f"time {number}"))
        places.append(_interval(model, offset, size, f"place {number}"))
        offsets.append(offset)
        sizes.append(size)
    model.add_no_overlap_2d(times, places)
    model.add_cumulative(times, sizes, capacity // unit)
    solver = cp_model.CpSolver()
    solver.parameters.max_time_in_seconds = seconds
    solver.parameters.num_workers = WORKERS
    if solver.solve(model) not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return None
    tops = (solver.value(at) + size for at, size in zip(offsets, sizes, strict=True))
    return int(max(tops)) * unit


def _interval(model: Any, start: Any, size: int, name: str) -> Any:
    return model.new_fixed_size_interval_var(start, size, name)


if __name__ == "__main__":
    main()
