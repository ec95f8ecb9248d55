"""Arguments of `nn run`: folders, variables, models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from onecopy.cli.arguments import duration, size
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.nn.model import Model

_ACCESS: Final = re.compile(r"(.+):(ro|rw)")

Guest: TypeAlias = Annotated[
    Path, typer.Argument(metavar="GUEST.wasm", help="A command of WASI.", show_default=False)
]
Arguments: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="[-- ARG...]", help="For the guest.")
]
Folders: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--dir",
        "-d",
        metavar="HOST[:GUEST][:ro]",
        help="A folder that it may use, by the name that it has there; ro: only to read.",
    ),
]
Variables: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--env", "-e", metavar="NAME=VALUE", help="A variable of its environment."),
]
Models: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME=ENTRY|FILE[,KEY=VALUE...]",
        help="A model that it can load by that name; backend=, store= and options.",
    ),
]
StoreName: TypeAlias = Annotated[
    str, typer.Option("--store", "-s", metavar="STORE", help="Where entries are looked for.")
]
Windows: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--window",
        "-w",
        metavar="NAME=STORE/ENTRY",
        help="Show an immutable entry to it, in its memory.",
    ),
]
Timeout: TypeAlias = Annotated[
    float | None,
    typer.Option(parser=duration, metavar="DURATION", help="End it after so long."),
]
Memory: TypeAlias = Annotated[
    int, typer.Option(parser=size, metavar="SIZE", help="How much memory it may have.")
]
MayLoad: TypeAlias = Annotated[
    bool, typer.Option("--load/--no-load", help="Whether it may bring models of its own.")
]


def parse_folder(text: str) -> tuple[str, tuple[Path, str]]:
    """Parse `HOST[:GUEST][:ro|rw]`, also with `::` between the two.

    Without a second one, the guest knows the folder by the name that it has here.
    """
    found = _ACCESS.fullmatch(text)
    rest, access = found.groups() if found else (text, "rw")
    host, colon, guest = rest.replace("::", ":", 1).partition(":")
    if not host or (colon and not guest):
        raise InvalidArgument(f"{text!r} is not HOST[:GUEST][:ro]")
    return guest or host, (Path(host), access)


def parse_variable(text: str) -> tuple[str, str]:
    """Parse `NAME=VALUE`."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InvalidArgument(f"{text!r} is not NAME=VALUE")
    return name, value


def parse_model(text: str) -> tuple[str, Model]:
    """Parse `NAME=ENTRY|FILE[,KEY=VALUE...]`."""
    from onecopy.nn.model import Model

    name, equals, model = text.partition("=")
    if not equals or not name or not model:
        raise InvalidArgument(f"{text!r} is not NAME=ENTRY or NAME=FILE")
    return name, Model.parse(model)
