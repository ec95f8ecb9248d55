"""What the demo of the code-review bot shows on the terminal."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table

from onecopy.demo.report import show_check

if TYPE_CHECKING:
    from rich.console import Console

    from onecopy.agents.records.run import Run
    from onecopy.demo.agent.story import Outcome

_HIDDEN: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG: Final = re.compile(r"</?[a-z]+>")
_CUT: Final = 110


def show_report(console: Console, outcome: Outcome) -> None:
    """Print the comment as it is rendered, the runs' timelines and cost, and checks."""
    console.print(Panel(Markdown(_readable(outcome.first)), title="the comment, at first"))
    console.print(Panel(Markdown(_readable(outcome.second)), title="after the second commit"))
    for line in outcome.lines:
        first = _readable(line).strip().splitlines()[0]
        console.print(f"  {first[:_CUT]}", markup=False, highlight=False)
    console.print(f"labels: {', '.join(outcome.labels) or 'none'}", markup=False, highlight=False)
    for run in outcome.runs:
        console.print(_timeline(run))
    for check in outcome.checks:
        show_check(console, check)


def _readable(body: str) -> str:
    return _TAG.sub("", _HIDDEN.sub("", body))


def _timeline(run: Run) -> Table:
    summary = run.summary
    table = Table(title=f"run of {summary.kind}, {summary.status}", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for step in run.steps:
        table.add_row(step.name, f"{step.seconds:.2f} s")
    table.add_row("calls of the host", str(summary.calls))
    tokens = f"{summary.input_tokens:,} + {summary.output_tokens:,}"
    table.add_row("tokens asked and answered", tokens)
    table.add_row("cost, of a model of this machine", f"{summary.usd:.4f} USD")
    if run.outcome:
        table.add_row("computed by the agent", f"{run.outcome.cpu_seconds:.2f} s")
    return table
