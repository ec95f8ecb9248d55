"""What the demo shows on the terminal: a table, the checks, and what they mean."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from onecopy.demo.check import Check
from onecopy.demo.measurement import Measurement
from onecopy.demo.sentences import SENTENCES
from onecopy.demo.story import Outcome
from onecopy.demo.variant import Variant
from onecopy.units import format_size

Cell = Callable[[Measurement], str]


def show_report(console: Console, outcome: Outcome, workers: int) -> None:
    """Print everything that a successful or failed demo found out."""
    console.print(comparison(outcome, workers))
    _paragraphs(console, *explanation(outcome, workers))
    console.print("\n[bold]What was checked[/bold]")
    for check in outcome.checks:
        show_check(console, check)


def comparison(outcome: Outcome, workers: int) -> Table:
    """The variants side by side."""
    table = Table(title=f"{workers} workers, one model of {format_size(outcome.entry_nbytes)}")
    table.add_column("")
    for measured in outcome.measurements:
        table.add_column(measured.variant.value, justify="right")
    for title, cell in _rows(outcome):
        table.add_row(title, *map(cell, outcome.measurements))
    return table


def _rows(outcome: Outcome) -> list[tuple[str, Cell]]:
    first = outcome.measurements[0].vectors[0]
    return [
        ("put in the store, once", lambda m: _put_cost(outcome, m)),
        ("model ready: median worker", lambda m: _milliseconds(m.median_build)),
        ("model ready: slowest worker", lambda m: _milliseconds(m.slowest_build)),
        ("first embeddings: median", lambda m: _milliseconds(m.median_embed)),
        ("PSS of all workers, before", lambda m: format_size(m.idle.pss)),
        ("PSS of all workers, after", lambda m: format_size(m.loaded.pss)),
        ("  so the model and its use", lambda m: format_size(m.model_memory)),
        ("  untouched in the store", _untouched),
        ("  the store's process (PSS)", _daemon),
        ("[bold]memory for the model, in all[/bold]", _total),
        ("embeddings", lambda m: "identical" if set(m.vectors) == {first} else "DIFFERENT"),
    ]


def _put_cost(outcome: Outcome, measured: Measurement) -> str:
    return _milliseconds(outcome.put_seconds) if measured.variant is Variant.STORE else "-"


def _untouched(measured: Measurement) -> str:
    return format_size(measured.untouched) if measured.entry_nbytes else "-"


def _daemon(measured: Measurement) -> str:
    return format_size(measured.daemon.pss) if measured.entry_nbytes else "-"


def _total(measured: Measurement) -> str:
    return f"[bold]{format_size(measured.total)}[/bold]"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"


def explanation(outcome: Outcome, workers: int) -> list[str]:
    """Plain words for a reader who has never heard of any of it."""
    return [
        "How it was measured: all workers were forked from one server process that had torch and "
        "transformers loaded, have one torch thread each, and began at the same moment. Time runs "
        f"from there until the model can embed; the first embeddings are of {len(SENTENCES)} "
        "sentences. PSS, from /proc/<pid>/smaps_rollup, counts a page "
        f"that {workers} workers share as 1/{workers} in each, so it may be added up; it was read "
        "before they had a model and after all had embedded.",
        "The first column is what a worker has after any cast or conversion of its weights: a copy "
        f"of its own, so {workers} copies. {_about_files(outcome)}",
        "With onecopy the weights lie once in sealed memory that belongs to no worker, and every "
        "worker's model points into it. Any tensors will do, from a file or computed, and they "
        "stay when workers come and go. A worker that writes to its weights changes only pages "
        "of its own.",
    ]


def _about_files(outcome: Outcome) -> str:
    copied, mapped = (m.model_memory for m in outcome.measurements[:2])
    if mapped > copied / 2:
        return "The second column shows from_pretrained as it is: it made copies here, too."
    return (
        "The second column shows from_pretrained as it is: on a CPU, and while nothing asks for "
        "another dtype, it maps the file, and the workers share the kernel's cache of it (what "
        "none of them touched is not counted: the kernel may drop it). That is as frugal, but it "
        "ends with the first cast, and needs a file that holds the weights just as they are used."
    )


def show_check(console: Console, check: Check) -> None:
    """Print a line for a claim, and what was seen instead if it did not hold."""
    if check.held:
        console.print(f"  [green]ok[/green]      {check.claim}")
    else:
        console.print(f"  [red]FAILED[/red]  {check.claim}: {escape(check.trouble)}")


def _paragraphs(console: Console, *texts: str) -> None:
    for text in texts:
        console.print()
        console.print(text, highlight=False)
