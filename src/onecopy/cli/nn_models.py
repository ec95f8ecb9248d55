"""`nn models`: which models processes of this user hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.cli.arguments import Json
from onecopy.cli.output import facts_of, hint, printable, show_json, show_table
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.nn.service.running import Loaded


def models(json: Json = False) -> None:
    """List the models that are loaded: each by one process, for all hosts and guests."""
    from onecopy.nn.service.running import running

    found = running()
    if json:
        show_json([facts_of(each) for each in found])
    elif found:
        columns = ("name", "backend", "users", "memory", "pid")
        show_table(columns, map(_row, found), numbers=columns[2:])
    else:
        hint("no model is loaded; `onecopy nn run` loads those that its guest asks for")


def _row(loaded: Loaded) -> tuple[str, ...]:
    return (
        printable(loaded.name),
        loaded.backend,
        "busy" if loaded.users is None else str(loaded.users),
        format_size(loaded.memory),
        str(loaded.pid),
    )
