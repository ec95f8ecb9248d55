"""Arguments that commands for agents share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

Folder: TypeAlias = Annotated[
    Path, typer.Argument(metavar="[DIR]", help="The folder with agent.toml.")
]
State: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="DIR",
        help="Where events, records and values are kept; by default the user's state folder.",
    ),
]
StoreName: TypeAlias = Annotated[
    str, typer.Option("--store", "-s", metavar="STORE", help="That agents may read entries of.")
]

AgentName: TypeAlias = Annotated[
    str | None, typer.Option("--agent", metavar="NAME", help="Only of this agent.")
]


def kept(state: Path | None, name: str) -> Path:
    """Return a file of a server's folder.

    Raises:
        QueueUnavailable: it is not there yet.
    """
    from onecopy.agents.server.resources import default_folder
    from onecopy.errors import QueueUnavailable

    path = (state or default_folder()) / name
    if not path.exists():
        what = "onecopy agent serve" if name.startswith("events") else "onecopy agent run or serve"
        raise QueueUnavailable(f"there is no {path} yet; {what} makes it, --state names its folder")
    return path
