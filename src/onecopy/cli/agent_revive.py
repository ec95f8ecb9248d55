"""`agent revive`: an event that is dead, once more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from onecopy.cli.agent_arguments import State, kept
from onecopy.cli.output import stdout
from onecopy.errors import InvalidArgument, QueueUnavailable

if TYPE_CHECKING:
    from pathlib import Path

Event = Annotated[str, typer.Argument(metavar="EVENT", help="As `agent events --in dead` lists.")]


def revive(event: Event, state: State = None) -> None:
    """Have a dead event run again, by the next server; a running one has a button for that."""
    if not asyncio.run(_revived(kept(state, "events.sqlite"), event)):
        raise InvalidArgument(
            f"no dead event is {event!r}; onecopy agent events --in dead lists them"
        )
    stdout().print(f"{event} waits for the next server")


async def _revived(path: Path, event: str) -> bool:
    from onecopy.agents.queue.queue import Queue

    try:
        queue = Queue.open(path)
    except QueueUnavailable as error:
        raise QueueUnavailable(
            f"{error}; if that is a server, its status page revives events"
        ) from None
    try:
        return await queue.revive(event)
    finally:
        await queue.close()
