"""`agent replay`: a recorded run once more, offline."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onecopy.cli.agent_arguments import Folder, State, kept
from onecopy.cli.agent_builds import announcing_builds
from onecopy.cli.output import hint
from onecopy.errors import InvalidArgument, ReplayDiverged

if TYPE_CHECKING:
    from onecopy.agents.outcome import Outcome
    from onecopy.agents.records.run import Run

Name = Annotated[str, typer.Argument(metavar="RUN", help="As `agent runs` lists them.")]


@announcing_builds()
def replay(run: Name, folder: Folder = Path(), state: State = None) -> None:
    """Run an agent again with what a run was answered; nothing is reached, nothing is changed.

    Exits with 1 if it asks for something else, or ends otherwise: the agent has
    changed.
    """
    from onecopy.agents.records.reader import Reader

    reader = Reader(kept(state, "records.sqlite"))
    try:
        record = reader.run(run)
    finally:
        reader.close()
    if record is None:
        raise InvalidArgument(f"there is no run {run!r}; onecopy agent runs lists them")
    outcome = asyncio.run(_replayed(record, folder))
    _compare(record, outcome)
    hint(f"the same {len(record.calls)} calls and the same answer as in the run")
    typer.echo(outcome.text)


async def _replayed(record: Run, folder: Path) -> Outcome:
    from onecopy.agents.manifest import Manifest
    from onecopy.agents.replay import replay as replayed
    from onecopy.agents.server.agent import component_of, encoded
    from onecopy.agents.worker.pool import Workers
    from onecopy.agents.worker.start import Start

    manifest = Manifest.load(folder)
    component = await asyncio.to_thread(component_of, manifest)
    async with Workers(component, manifest.limits, name=manifest.name) as workers:
        start = Start(record.seed, record.time_ns)
        calls = [(each.call, each.reply) for each in record.calls]
        return await replayed(workers, encoded(record.event), start, calls)


def _compare(record: Run, outcome: Outcome) -> None:
    before = record.outcome
    if before is None or (before.status, before.text) != (outcome.status, outcome.text):
        was = f"{before.status}: {before.text}" if before else "never ended"
        raise ReplayDiverged(
            f"the run was {was:.200}; its replay is {outcome.status}: {outcome.text:.200}"
        )
