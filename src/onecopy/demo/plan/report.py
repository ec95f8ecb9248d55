"""What the demo of planned runs shows on the terminal."""

from __future__ import annotations

from statistics import mean
from typing import TYPE_CHECKING

from rich.table import Table

from onecopy.demo.report import show_check
from onecopy.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from onecopy.demo.plan.story import Outcome


def show_report(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print, for each model, memory, allocations, contexts and checks."""
    for outcome in outcomes:
        _show(console, outcome)
    console.print(
        "\n[bold]lower bound[/bold] is the most that lives at one time: no plan takes less. "
        "Outputs are the caller's, and counted; weights only in the budgets.",
        highlight=False,
    )


def _show(console: Console, outcome: Outcome) -> None:
    subject = outcome.subject
    console.print(
        f"\n[bold]{subject.title}[/bold], up to {subject.batch} texts of {subject.length} tokens: "
        f"{len(outcome.plan.buffers)} buffers planned in {outcome.seconds:.1f} s",
        highlight=False,
    )
    console.print(_memory(outcome))
    console.print(_contexts(outcome))
    for check in outcome.checks:
        show_check(console, check)


def _memory(outcome: Outcome) -> Table:
    table = Table(title=f"{len(outcome.eager)} random shapes")
    for title in ("", "eager", "planned", "lower bound"):
        table.add_column(title, justify="right" if title else "left")
    eager, planned = (max(run.peak for run in runs) for runs in (outcome.eager, outcome.planned))
    table.add_row("peak memory", *map(format_size, (eager, planned, outcome.lower_bound)))
    counts = [mean(run.allocations for run in runs) for runs in (outcome.eager, outcome.planned)]
    table.add_row("allocations a run", *(f"{count:.0f}" for count in counts), "")
    return table


def _contexts(outcome: Outcome) -> Table:
    table = Table(title="The longest text of one sequence under a budget")
    for title in ("budget, weights included", "tokens", "found by", "measured peak"):
        table.add_column(title, justify="left" if title == "found by" else "right")
    for each in (*outcome.contexts, outcome.certified):
        if each is not None:
            way, peak = ("measuring", format_size(each.peak)) if each.peak else ("formula", "")
            table.add_row(format_size(each.budget), f"{each.tokens:,}", way, peak)
    return table
