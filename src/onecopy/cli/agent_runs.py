"""`agent runs`, `agent events`: what agents did, and what waits for them."""

from __future__ import annotations

import enum
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onecopy.cli.agent_arguments import AgentName, State, kept
from onecopy.cli.arguments import Json
from onecopy.cli.output import printable, show_json, stdout
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.agents.records.run import Item, Run, Summary

Limit = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, the newest first.")]


class Ending(str, enum.Enum):
    """How a run has ended, if it has."""

    RUNNING = "running"
    OK = "ok"
    ERROR = "error"
    FAILED = "failed"
    LOST = "lost"


class Waiting(str, enum.Enum):
    """What has become of an event."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DEAD = "dead"
    SUPERSEDED = "superseded"


def runs(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="One run, with its log and calls.")
    ] = "",
    agent: AgentName = None,
    status: Annotated[Ending | None, typer.Option(help="Only such ones.")] = None,
    limit: Limit = 20,
    state: State = None,
    as_json: Json = False,
) -> None:
    """List the runs of agents, or show one."""
    from onecopy.agents.records.reader import Reader

    reader = Reader(kept(state, "records.sqlite"))
    try:
        if run:
            found = reader.run(run)
            if found is None:
                raise InvalidArgument(f"there is no run {run!r}; onecopy agent runs lists them")
            show_json(found) if as_json else _show_run(found)
            return
        summaries = reader.runs(agent=agent, status=status and status.value, limit=limit)
        show_json(summaries) if as_json else _show_runs(summaries)
    finally:
        reader.close()


def events(
    agent: AgentName = None,
    in_state: Annotated[Waiting | None, typer.Option("--in", help="Only such ones.")] = None,
    limit: Limit = 20,
    state: State = None,
    as_json: Json = False,
) -> None:
    """List the events of agents: those that wait, and how the others ended."""
    from onecopy.agents.queue.reader import Reader

    reader = Reader(kept(state, "events.sqlite"))
    try:
        found = reader.list(state=in_state and in_state.value, agent=agent, limit=limit)
    finally:
        reader.close()
    if as_json:
        return show_json(found)
    rows = [
        (e.id, clock(e.received), e.agent, e.kind, e.subject, f"{e.attempt}/{e.attempts}", e.state,
         e.why[:60])
        for e in found
    ]  # fmt: skip
    _table(("event", "received", "agent", "kind", "subject", "attempt", "state", "why"), rows)
    return None


def clock(seconds: float) -> str:
    """Return a time as people read it."""
    return datetime.fromtimestamp(seconds).strftime("%m-%d %H:%M:%S")


def _show_runs(summaries: list[Summary]) -> None:
    rows = [
        (s.id, clock(s.started), s.agent, s.kind, s.subject, s.status, _seconds(s), str(s.calls),
         f"{s.input_tokens + s.output_tokens:,}", f"{s.usd:.4f}")
        for s in summaries
    ]  # fmt: skip
    heads = ("run", "started", "agent", "kind", "subject", "status", "s", "calls", "tokens", "usd")
    _table(heads, rows)


def _seconds(summary: Summary) -> str:
    return f"{(summary.ended or time.time()) - summary.started:.2f}"


def _show_run(run: Run) -> None:
    console, summary = stdout(), run.summary
    console.print(f"run      {summary.id} of {summary.agent}, attempt {summary.attempt}")
    console.print(printable(f"event    {summary.event} {summary.kind} {summary.subject}"))
    console.print(f"started  {clock(summary.started)}, {_seconds(summary)} s, {summary.status}")
    tokens = f"{summary.input_tokens:,} + {summary.output_tokens:,} tokens"
    console.print(f"used     {summary.calls} calls, {tokens}, {summary.usd:.4f} USD")
    if run.inexact:
        console.print(f"replay   may differ: {printable(run.inexact)}")
    for item in run.items:
        for line in _line(item, summary.started).rstrip().split("\n"):
            console.print(printable(line))
    if run.outcome:
        console.print(f"answer   {printable(run.outcome.text)}")


def _line(item: Item, started: float) -> str:
    at = f"{item.at - started:8.3f}"
    match item.sort:
        case "log":
            return f"{at}  {item.name}: {item.value}"
        case "step":
            return f"{at}  # {item.name}"
        case "usage":
            return f"{at}  {item.name}: {item.value}"
        case _:
            return f"{at}  {item.name} {item.seconds * 1e3:.0f} ms {item.error}"


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    from rich.table import Table

    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(printable(str(each)) for each in row))
    stdout().print(table)
