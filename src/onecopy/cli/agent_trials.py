"""What `agent test` does with events: the component runs with each, and is compared."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onecopy.cli.agent_run import only_kind, show_text
from onecopy.cli.output import printable, stdout

if TYPE_CHECKING:
    from onecopy.agents.manifest import Manifest
    from onecopy.agents.outcome import Outcome
    from onecopy.agents.trial import Trial


async def tried(manifest: Manifest, events: list[Path], store: Any) -> bool:
    """Run an agent with each event, say how each has gone, and return whether all are well."""
    from onecopy.agents.trial import Trial

    passed = True
    for path in events:
        trial = Trial.load(path)
        complaint = trial.complaint(await _run(manifest, trial, store))
        stdout().print(printable(f"{path.name}: {'not ' if complaint else ''}as expected"))
        if complaint:
            show_text(f"  {complaint}")
            passed = False
    return passed


async def _run(manifest: Manifest, trial: Trial, store: Any) -> Outcome:
    """Run it once, with files of its own that are deleted afterwards."""
    from onecopy.agents.canned import Placeholders
    from onecopy.agents.server.agent import ServedAgent
    from onecopy.agents.server.resources import Resources

    bound = manifest.bind_cli(trial.kind or only_kind(manifest), trial.payload)
    with tempfile.TemporaryDirectory(prefix="onecopy-agent-") as state:
        resources = Resources(
            Path(state), store=store, secrets=Placeholders(), client=trial.client()
        )
        try:
            async with ServedAgent(manifest, resources) as agent:
                return await agent.run(bound.event("trial", received=time.time()))
        finally:
            await resources.close()
