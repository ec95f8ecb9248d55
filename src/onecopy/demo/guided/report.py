"""What the guided demo shows on the terminal."""

from __future__ import annotations

from statistics import median, quantiles
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from onecopy.demo.report import show_check

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from onecopy.demo.guided.decoding import StepTime
    from onecopy.demo.guided.story import Outcome


def show_report(console: Console, outcome: Outcome, workers: int) -> None:
    """Print texts, times and checks."""
    model = outcome.model
    console.print(
        f"\nA model of {model.parameters:,} parameters over {model.tokenizer.get_vocab_size()} "
        f"tokens, trained on this package's own texts for {model.seconds:.0f} s (loss "
        f"{model.loss:.1f}).",
        highlight=False,
    )
    _texts(console, "What it writes on its own", outcome.unguided)
    _texts(console, "What it writes under a controller in C", outcome.guided)
    console.print(_times(outcome.times, workers))
    console.print(
        f"\nThe looping controller's end: {outcome.looped}", highlight=False, markup=False
    )
    console.print("\n[bold]What was checked[/bold]")
    for check in outcome.checks:
        show_check(console, check)


def _texts(console: Console, title: str, texts: list[str]) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    for text in texts:
        line = escape(repr(text)[1:-1])
        console.print(f"  {line}", highlight=False, no_wrap=True, overflow="ellipsis")


def _times(times: list[StepTime], workers: int) -> Table:
    most = max(each.batch for each in times)
    table = Table(title=f"A step of up to {most} sequences, {workers} workers, µs")
    for title in ("", "median", "p99"):
        table.add_column(title, justify="right" if title else "left")
    for title, cell in _ROWS:
        microseconds = [1e6 * cell(each) for each in times]
        p99 = quantiles(microseconds, n=100)[98] if len(microseconds) > 1 else microseconds[0]
        table.add_row(title, f"{median(microseconds):,.0f}", f"{p99:,.0f}")
    return table


_ROWS: list[tuple[str, Callable[[StepTime], float]]] = [
    ("tokens to the workers, one signal each", lambda t: t.begin),
    ("the model's forward pass; guests work meanwhile", lambda t: t.model),
    ("waiting for the last mask after it", lambda t: t.wait),
    ("masking and sampling", lambda t: t.sample),
    ("[bold]a whole step[/bold]", lambda t: t.begin + t.model + t.wait + t.sample),
    ("  of a guest, in its worker", lambda t: t.guests / t.batch),
]
