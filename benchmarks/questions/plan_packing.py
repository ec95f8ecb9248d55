"""How good are plans of memory, and how long do they take to make, beside other packers?

Processor time is counted, not what a clock shows: the search runs in one thread, whatever else runs
beside it. CP-SAT uses two threads, and gets 10 seconds of the clock for each instance; minimalloc
uses one.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from benchmarks import traces
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.peers import cp_sat
from benchmarks.peers.registry import ENVIRONMENTS
from benchmarks.stage import FULL, Stage
from onecopy.planner import Buffer, Problem, Solution, read_csv, solve, validate
from onecopy.planner.packing.greedy import orders
from onecopy.planner.packing.grid import grid_of
from onecopy.planner.packing.native_search import first_fit

FOLDER = Path(__file__).resolve().parents[1] / "data" / "minimalloc"
CAPACITY = 1_048_576
OURS, PYTHON, MINIMALLOC, CP_SAT = "onecopy", "onecopy in Python", "minimalloc", "CP-SAT"
LIMIT = 10.0
"""Seconds for one instance of a peer, and for one of ours."""
PATIENT = 120.0
"""Seconds for one instance in Python, and minimalloc's, which fits all if it is given them."""
cpu = time.process_time

Took = dict[str, float]
"""Seconds of processor time, of each instance that fitted."""


def ask(stage: Stage) -> Answer:
    """Pack MiniMalloc's instances within their capacity, and the tensors of models."""
    full = stage.scale == FULL
    instances = "ABCDEFGHIJK" if full else "EG"
    paths = {each: FOLDER / f"{each}.{CAPACITY}.csv" for each in instances}
    problems = {each: read_csv(path) for each, path in paths.items()}
    title = f"MiniMalloc's instances within {CAPACITY:,} bytes"
    packing = Table(title, "s of processor time", ours=OURS)
    took = {OURS: _ours(problems, "native"), PYTHON: _ours(problems, "python")}
    if stage.everybody:
        took |= _peers(stage, paths)
    for packer, its in took.items():
        _fill(packing, packer, its)
    models, peaks = _models(4500 if full else 450)
    tables = [packing, _rules(problems), models, peaks]
    return Answer("plan_packing", tables, list(_targets(took, models, peaks, problems)))


def _ours(problems: dict[str, Problem], engine: Literal["native", "python"]) -> Took:
    limit = LIMIT if engine == "native" else PATIENT
    took = {}
    for each, problem in problems.items():
        begin = cpu()
        solution = solve(problem, CAPACITY, limit, engine)
        seconds = cpu() - begin
        validate(problem, solution)
        if solution.peak <= CAPACITY:
            took[each] = seconds
    return took


def _peers(stage: Stage, paths: dict[str, Path]) -> dict[str, Took]:
    found = {}
    python = ENVIRONMENTS / "ortools" / "bin" / "python"
    if python.exists():
        found[CP_SAT] = _took(paths, lambda path: _cp_sat(python, path))
    else:
        stage.notes.append("CP-SAT: not installed (python -m benchmarks.peers.setup ortools)")
    binary = os.environ.get("MINIMALLOC") or shutil.which("minimalloc")
    if binary:
        found[MINIMALLOC] = _took(paths, lambda path: _minimalloc(binary, path, stage.root))
    else:
        stage.notes.append("minimalloc: not on PATH, nor named by the variable MINIMALLOC")
    return found


def _took(paths: dict[str, Path], pack: Callable[[Path], float | None]) -> Took:
    found = {each: pack(path) for each, path in paths.items()}
    return {each: seconds for each, seconds in found.items() if seconds is not None}


def _cp_sat(python: Path, path: Path) -> float | None:
    """Seconds of processor time, without the start of Python; None if it did not fit in time."""
    command = [str(python), cp_sat.__file__, str(path), str(CAPACITY), str(LIMIT)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    return float(found["seconds"]) if found["peak"] is not None else None


def _minimalloc(binary: str, path: Path, root: Path) -> float | None:
    """Seconds of processor time, with its start; None if it did not fit in time."""
    out = root / "minimalloc.csv"
    command = [binary, f"--capacity={CAPACITY}", f"--input={path}", f"--output={out}"]
    begin = _children()
    done = subprocess.run([*command, f"--timeout={PATIENT}s"], capture_output=True, check=False)
    seconds = _children() - begin
    if done.returncode:
        return None
    plan = read_csv(out)  # Refuses buffers that overlap.
    return seconds if plan.lower_bound <= CAPACITY else None


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _fill(table: Table, packer: str, took: Took) -> None:
    if took:
        table.put_row(packer, "one instance", Summary.of(took.values()))
    table.put_row(packer, "all that fit", Summary.of([sum(took.values())]))
    table.put_row(packer, "how many", Summary.of([len(took)]))


def _rules(problems: dict[str, Problem]) -> Table:
    """Peaks of the simple rules, over the lower bound."""
    found: dict[str, list[float]] = {}
    for problem in problems.values():
        grid = grid_of(problem)
        chosen = orders(grid)
        found.setdefault(OURS, []).append(solve(problem, CAPACITY).peak / problem.lower_bound)
        for rule, offsets in zip(chosen, first_fit(grid, list(chosen.values())), strict=True):
            over = grid.peak(offsets) / problem.lower_bound
            found.setdefault(f"first fit by {rule}", []).append(over)
    table = Table("peak over lower bound", "x", ours=OURS)
    for rule, ratios in found.items():
        table.put_row(rule, "one instance", Summary.of(ratios))
    return table


def _models(count: int) -> tuple[Table, Table]:
    models = Table(f"about {count} buffers, the best plan", "s of processor time", ours=OURS)
    peaks = Table("its peak over the lower bound", "x", ours=OURS)
    for trace in (traces.recorded, traces.inference, traces.training):
        kind, problem = trace.__name__, trace(count)
        begin = cpu()
        solution = solve(problem)
        models.put_row(OURS, kind, Summary.of([cpu() - begin]))
        validate(problem, solution)
        peaks.put_row(OURS, kind, Summary.of([solution.peak / problem.lower_bound]))
    return models, peaks


def _targets(
    took: dict[str, Took], models: Table, peaks: Table, problems: dict[str, Problem]
) -> Iterable[Target]:
    for packer, limit in ((OURS, 2), (PYTHON, 30)):
        yield Target(f"{packer}: instances that fit", len(problems), len(took[packer]), "", True)
        yield Target(f"{packer}: seconds for them", limit, sum(took[packer].values()), "s")
    if "C" in problems:
        best = solve(problems["C"])
        yield Target(
            "C, proven to be the best", 1_039_360, best.peak if best.optimal else None, "B"
        )
    yield Target("TVM's example, by size 96", 72, tvm().peak, "B")
    for kind in models.columns:
        seconds, peak = (table.rows[OURS][kind].median for table in (models, peaks))
        yield Target(f"{models.title}: {kind}", 1, seconds, "s")
        yield Target(f"peak over lower bound: {kind}", 1.01, peak)


def tvm() -> Solution:
    """The example of TVM's pass for upper bounds: a chain of operators, 32, 32, 32 and 40 bytes."""
    chain = enumerate((32, 32, 32, 40))
    return solve(Problem(Buffer(str(at), size, at, at + 2) for at, size in chain))
