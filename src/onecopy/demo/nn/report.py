"""What the demo of inference shows on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from onecopy.demo.nn.questions import QUESTIONS
from onecopy.demo.report import show_check
from onecopy.demo.sentences import SENTENCES
from onecopy.units import format_size

if TYPE_CHECKING:
    from rich.console import Console

    from onecopy.demo.nn.story import Outcome


def show_report(console: Console, outcome: Outcome, at_once: int) -> None:
    """Print answers, times, memory and checks."""
    console.print(_answers(outcome))
    console.print(_figures(outcome, at_once))
    for check in outcome.checks:
        show_check(console, check)


def _answers(outcome: Outcome) -> Table:
    table = Table(title="What a guest in C found, with vectors of the host's model")
    table.add_column("question")
    table.add_column(f"the nearest of {len(SENTENCES)} sentences")
    for question, answer in zip(QUESTIONS, outcome.answers, strict=True):
        table.add_row(question, SENTENCES[answer])
    return table


def _figures(outcome: Outcome, at_once: int) -> Table:
    count = len(SENTENCES) + len(QUESTIONS)
    table = Table(show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_row("first guest: from its start to its first vector", _time(outcome.first))
    table.add_row("second guest, the model being loaded", _time(outcome.second))
    table.add_row(f"the other {count - 1} vectors of the first guest", _time(outcome.rest))
    table.add_row(f"{count} vectors in Python", _time(outcome.python))
    table.add_row("the model's weights", format_size(outcome.weights))
    table.add_row("PSS of one guest and the model's process", format_size(outcome.alone.pss))
    table.add_row(f"of {at_once} guests and the model's process", format_size(outcome.together.pss))
    return table


def _time(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms"
