"""`agent build`: an agent's source to a component."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from onecopy.cli.output import hint, stdout
from onecopy.errors import InvalidArgument
from onecopy.units import format_size


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
    if folder.is_file():
        return folder
    manifest = folder / "agent.toml"
    source = _parsed(manifest.read_text(), manifest).get("source")
    if not isinstance(source, str):
        raise InvalidArgument(f'{manifest} names no source; add source = "agent.py" to [agent]')
    return folder / source


def _parsed(text: str, path: Path) -> dict[str, object]:
    parse = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        agent = parse.loads(text).get("agent")
    except ValueError as error:
        raise InvalidArgument(f"{path}: {error}") from None
    return agent if isinstance(agent, dict) else {}
