"""`agent build`: an agent's source to a component."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from onecopy.cli.agent_builds import announcing_builds
from onecopy.cli.output import hint, stdout
from onecopy.errors import InvalidArgument
from onecopy.units import format_size


@announcing_builds()
def build(
    folder: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="The folder with agent.toml.")
    ] = Path(),
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A component to write, besides the one in the cache."),
    ] = None,
) -> None:
    """Build an agent to a WebAssembly component; what was built before is only looked up."""
    from onecopy.agents.sdk.build import build as build_source

    source = _source(folder)
    component = build_source(source, out)
    stdout().print(f"built {component}: {format_size(component.stat().st_size)}")
    event = folder / "event.json"
    if event.exists():
        hint(f"next: onecopy agent run {folder} --event {event}")


def _source(folder: Path) -> Path:
    """Return the source that a manifest names; a file is one itself."""
    from onecopy.agents.manifest import Manifest

    if folder.is_file():
        return folder
    manifest = Manifest.load(folder)
    if manifest.agent.component:
        raise InvalidArgument(
            f"{folder} has a component already; to build one, write source = "
            '"agent.py" to [agent] in its place'
        )
    return manifest.code
