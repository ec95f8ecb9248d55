"""`agent run`: an agent called once, with an event from a file."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from onecopy.cli.agent_arguments import Folder, State, StoreName
from onecopy.cli.agent_builds import announcing_builds
from onecopy.cli.output import complain, hint, printable
from onecopy.errors import InvalidArgument, InvalidEvent

if TYPE_CHECKING:
    from onecopy.agents.calls import Call, Reply
    from onecopy.agents.event import Event
    from onecopy.agents.manifest import Manifest
    from onecopy.agents.outcome import Outcome

EventFile = Annotated[
    Path | None,
    typer.Option("--event", "-e", metavar="FILE", help="The event's payload, JSON; - is stdin."),
]
Kind = Annotated[
    str | None,
    typer.Option(
        "--kind", "-k", metavar="KIND", help="Such as pull_request.opened; if there is one, that."
    ),
]


@announcing_builds()
def run(
    folder: Folder = Path(),
    event: EventFile = None,
    kind: Kind = None,
    state: State = None,
    store: StoreName = "",
) -> None:
    """Call an agent with one event, show its log, and print its answer.

    It has the grants and limits of its manifest. Exits with 1 if it fails.
    """
    from onecopy.agents.manifest import Manifest

    manifest = Manifest.load(folder)
    bound = manifest.bind_cli(kind or only_kind(manifest), _payload(manifest, event))
    made = bound.event(f"cli-{time.time_ns():x}", received=time.time())
    outcome, run_id = asyncio.run(_run(manifest, made, state, store))
    hint(f"{outcome.seconds:.2f} s, of which {outcome.cpu_seconds:.2f} s computing; run {run_id}")
    if outcome.status != "ok":
        complain(f"{manifest.name}: {outcome.said.message}")
        raise typer.Exit(1)
    typer.echo(outcome.text)


def only_kind(manifest: Manifest) -> str:
    """Return the one kind of event that a manifest takes from the command line, or at all."""
    own = [kind for on in manifest.triggers.cli for kind in on.kinds]
    delivered = [kind for each in manifest.triggers.webhook for on in each.on for kind in on.kinds]
    kinds = list(dict.fromkeys(own or delivered))
    if not kinds:
        raise InvalidArgument(
            f"{manifest.name} takes no events; add [[triggers.cli]] to {manifest.folder}/agent.toml"
        )
    if len(kinds) > 1:
        known = ", ".join(dict.fromkeys(own + delivered))
        raise InvalidArgument(f"say with --kind what the event is; known are {known}")
    return kinds[0]


def _payload(manifest: Manifest, file: Path | None) -> Any:
    import msgspec

    default = manifest.folder / "event.json"
    path = file or default
    if file is None and not default.exists():
        raise InvalidArgument(f"name the event's file: --event FILE (there is no {default})")
    raw = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidEvent(f"{path} is no JSON: {error}") from None


async def _run(
    manifest: Manifest, event: Event, state: Path | None, store: str
) -> tuple[Outcome, str]:
    from onecopy.agents.server.agent import ServedAgent
    from onecopy.agents.server.resources import Resources, default_folder

    resources = Resources(state or default_folder(), store=connected(store))
    try:
        async with ServedAgent(manifest, resources, watch=_show) as agent:
            outcome = await agent.run(event)
        await resources.records.flush()
        return outcome, resources.records.runs(event=event.id, limit=1)[0].id
    finally:
        await resources.close()


def connected(store: str) -> Any:
    """Return a client of a store that is named, or None."""
    if not store:
        return None
    import onecopy

    return onecopy.connect(store, timeout=0)


def _show(call: Call, reply: Reply, seconds: float) -> None:
    """Show one call of the guest to whoever waits for it."""
    match call.name, call.arguments:
        case "log.write", [level, text]:
            line = f"{level}: {text}"
        case "log.step", [name]:
            line = f"# {name}"
        case _:
            refused = f" {reply.error.code}: {reply.error.message}" if reply.error else ""
            line = f"  {call.name} {seconds * 1e3:.0f} ms{refused}"
    show_text(line)


def show_text(text: str) -> None:
    """Show a remark that may have several lines, such as a traceback."""
    for line in text.rstrip().split("\n"):
        hint(printable(line))
