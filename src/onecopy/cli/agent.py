"""`agent`: sandboxed functions that are called with events."""

from __future__ import annotations

import typer

from onecopy.cli import (
    agent_build,
    agent_embedder,
    agent_new,
    agent_replay,
    agent_revive,
    agent_run,
    agent_runs,
    agent_serve,
    agent_try,
)

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _agent() -> None:
    """Write, build and run agents (docs/agents.md)."""


app.command()(agent_new.new)
app.command()(agent_new.init)
app.command()(agent_build.build)
app.command("test", context_settings={"ignore_unknown_options": True})(agent_try.try_out)
app.command()(agent_embedder.embedder)
app.command()(agent_run.run)
app.command()(agent_serve.serve)
app.command()(agent_runs.runs)
app.command()(agent_runs.events)
app.command()(agent_revive.revive)
app.command()(agent_replay.replay)
