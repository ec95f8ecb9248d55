"""What the demo of the code-review bot shows on the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.markdown import Markdown
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from onecopy.demo.agent.remarks import all_remarks
from onecopy.demo.report import show_check

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from onecopy.agents.records.run import Run
    from onecopy.demo.agent.outcome import LineComment, Outcome

_HIDDEN: Final = re.compile(r"<!--.*?-->", re.DOTALL)
_TAG: Final = re.compile(r"</?[a-z]+>")
_TITLE: Final = re.compile(r"^(- .*?:?) ?(\*\*.*?\*\*) ", re.MULTILINE)
_SECTION: Final = re.compile(r"\n\n(?=#{2,3} |Reviewed |Not reviewed)")
_BAR: Final = 24
_SHORT: Final = 7
_NEXT: Final = (
    "Changes of your own:                onecopy demo agent --repo DIR\n"
    "On GitHub, with a language model:   onecopy agent init code-review  (docs/code-review.md)"
)


def show_report(console: Console, outcome: Outcome) -> None:
    """Print what happened in its order: comments as they are rendered, timelines, cost, checks."""
    for each in _told(outcome):
        console.print()
        console.print(each)
    console.print("\n[bold]What was checked[/bold]")
    for check in outcome.checks:
        show_check(console, check)
    console.print(f"\n{_NEXT}", markup=False, highlight=False)


def _told(outcome: Outcome) -> Iterator[RenderableType]:
    change = outcome.change
    first, second = change.first[:_SHORT], change.second[:_SHORT]
    yield Text(_chosen(outcome))
    yield _heading(f"1. A pull request is opened: {first} {change.title}")
    yield _rendered(outcome.first, "the bot's comment")
    yield from map(_timeline, outcome.runs[:1])
    yield _heading(f"2. GitHub sends the same delivery again: {outcome.answer}, nothing is run")
    yield _heading(f"3. A commit is pushed: {second}; only what is new is reviewed")
    yield _rendered(_news(outcome), "the same comment, updated; the rest of it is as above")
    yield from map(_timeline, outcome.runs[1:])
    yield _on_lines(outcome)


def _heading(text: str) -> Text:
    return Text(text, style="bold")


def _chosen(outcome: Outcome) -> str:
    reviewer = (
        f"The reviewer of this demo is a sentence encoder in the store with {len(all_remarks())} "
        "remarks to choose from. It is no language model: what it says is a hint to look."
    )
    if not outcome.read:
        return reviewer
    how = "most in these two" if outcome.found else "nothing in any; these are of the newest"
    return f"{reviewer} Of {outcome.read} commits that it read it finds {how}."


def _rendered(body: str, title: str) -> Panel:
    # The terminal has no room beside a title; a line of its own can be read.
    return Panel(Markdown(_TITLE.sub(r"\1 \2  \n  ", _plain(body))), title=title)


def _news(outcome: Outcome) -> str:
    """Return the parts of the comment that the second commit changed."""
    old = set(_SECTION.split(_plain(outcome.first)))
    return "\n\n".join(each for each in _SECTION.split(_plain(outcome.second)) if each not in old)


def _plain(body: str) -> str:
    return _TAG.sub("", _HIDDEN.sub("", body)).strip()


def _on_lines(outcome: Outcome) -> RenderableType:
    labels = ", ".join(outcome.labels) or "none"
    parts = [_heading(f"Label: {labels}. Comments on lines: {len(outcome.lines) or 'none'}")]
    return Group(*parts, *map(_on_line, outcome.lines))


def _on_line(comment: LineComment) -> Text:
    title = _HIDDEN.sub("", comment.body).strip().splitlines()[0].replace("**", "")
    return Text.assemble(
        f"  {title}\n    {comment.path}:{comment.number} at {comment.commit[:_SHORT]}\n",
        (f"      {comment.line.strip()}", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )


def _timeline(run: Run) -> RenderableType:
    """Draw when each step began, and how long it took; below, what the run cost."""
    start, whole = run.summary.started, _seconds(run)
    table = Table("step", "begins", "takes", "", box=None, pad_edge=False)
    for column in table.columns[1:3]:
        column.justify = "right"
    for step in run.steps:
        bar = _bar((step.at - start) / whole, step.seconds / whole)
        table.add_row(f"  {step.name}", _ms(step.at - start), _ms(step.seconds), bar)
    return Group(Text(f"Its run: {_cost(run)}"), table)


def _bar(begins: float, takes: float) -> str:
    left = min(_BAR - 1, max(0, round(begins * _BAR)))
    return " " * left + "━" * max(1, min(_BAR - left, round(takes * _BAR)))


def _cost(run: Run) -> str:
    summary = run.summary
    computed = f", {_ms(run.outcome.cpu_seconds)} of it in the agent" if run.outcome else ""
    return (
        f"{summary.status} after {_ms(_seconds(run))}{computed}; "
        f"{summary.calls} calls of the host; "
        f"{summary.input_tokens:,} tokens asked, {summary.output_tokens:,} answered; "
        f"{summary.usd:.4f} USD, for the model is on this machine."
    )


def _seconds(run: Run) -> float:
    ended = run.summary.ended or max((step.at + step.seconds for step in run.steps), default=0.0)
    return max(ended - run.summary.started, 1e-6)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
