"""`plan`: plans of memory, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from onecopy.cli import plan_fit
from onecopy.cli import plan_options as options
from onecopy.cli.output import complain, hint, show_json, stdout
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.planner import Problem, Solution

app = typer.Typer(no_args_is_help=True)
app.command()(plan_fit.fit)


@app.callback()
def _plan() -> None:
    """Plan memory before anything runs (docs/planner.md)."""


@app.command()
def solve(
    file: options.Problem,
    capacity: options.Capacity = None,
    svg: options.Svg = None,
    out: options.Out = None,
    time_limit: options.TimeLimit = "10s",  # type: ignore[assignment]  # parsed as if typed
    json: options.Json = False,
) -> None:
    """Pack buffers whose lifetimes are known into as little memory as possible.

    FILE.csv has the format of MiniMalloc. The exit status is 1 if the plan
    exceeds the capacity.
    """
    from onecopy import planner

    problem = planner.read_csv(file)
    solution = planner.solve(problem, capacity, time_limit)
    if svg is not None:
        svg.write_text(planner.draw(problem, solution, capacity), encoding="utf-8")
    if out is not None:
        planner.write_csv(out, problem, solution)
    if json:
        show_json(_facts(problem, solution, capacity))
    else:
        _show(problem, solution, svg, out)
    _check_fits(solution, capacity)


def _check_fits(solution: Solution, capacity: int | None) -> None:
    if capacity is not None and solution.peak > capacity:
        complain(_excess(solution, capacity))
        raise typer.Exit(1)


def _facts(problem: Problem, solution: Solution, capacity: int | None) -> dict[str, object]:
    return {
        "buffers": len(problem),
        "peak": solution.peak,
        "lower_bound": solution.lower_bound,
        "optimal": solution.optimal,
        "fits": None if capacity is None else solution.peak <= capacity,
        "offsets": solution.offsets,
    }


def _show(problem: Problem, solution: Solution, *files: Path | None) -> None:
    proof = "proven to be the best" if solution.optimal else "not proven to be the best"
    stdout().print(
        f"{_counted(len(problem), 'buffer')}: peak {_bytes(solution.peak)}, "
        f"lower bound {_bytes(solution.lower_bound)}, {proof}"
    )
    for each in files:
        if each is not None:
            hint(f"wrote {each}")


def _excess(solution: Solution, capacity: int) -> str:
    """Say by how much a plan does not fit, and whether another one could."""
    more = f"the plan needs {format_size(solution.peak - capacity)} more than the capacity"
    if solution.lower_bound > capacity:
        least = format_size(solution.lower_bound)
        return f"{more}; none needs less than {least}: raise --capacity"
    return f"{more}; another one may fit: give it a longer --time-limit"


def _bytes(nbytes: int) -> str:
    exact = _counted(nbytes, "byte")
    return exact if nbytes < 1024 else f"{exact} ({format_size(nbytes)})"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
