"""What commands take: names that complete themselves, sizes and durations as people write them."""

from __future__ import annotations

import grp
from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from onecopy.errors import InvalidArgument, OnecopyError
from onecopy.units import parse_duration, parse_size

_T = TypeVar("_T")

# How long a completion may wait for a store: nobody watches a prompt for longer.
_PATIENCE = 0.5


def _complete_store(incomplete: str) -> list[str]:
    from onecopy.store.runtime import store_names

    return [name for name in store_names() if name.startswith(incomplete)]


def _complete_entry(ctx: typer.Context, incomplete: str) -> list[str]:
    from onecopy.cli.stores import open_store, probe

    store = ctx.params.get("store") or ""
    try:
        probe(store, _PATIENCE)
        with open_store(store) as opened:
            return opened.names(incomplete)
    except OnecopyError:
        return []


def _parser(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """Make an argument's parser: what is wrong becomes a usage error that says so."""

    def parse_argument(text: str) -> _T:
        try:
            return parse(text)
        except InvalidArgument as error:
            raise typer.BadParameter(str(error)) from None

    return parse_argument


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise InvalidArgument(f"this machine has no group {name!r}") from None


size = _parser(parse_size)
duration = _parser(parse_duration)
group_id = _parser(_group_id)

StoreName = Annotated[
    str,
    typer.Argument(
        metavar="STORE",
        help="The store's name.",
        autocompletion=_complete_store,
        show_default=False,
    ),
]
EntryName = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="The entry's name.",
        autocompletion=_complete_entry,
        show_default=False,
    ),
]
OptionalStoreName = Annotated[
    str | None,
    typer.Argument(
        metavar="STORE",
        help="The store's name.",
        autocompletion=_complete_store,
        show_default=False,
    ),
]
OptionalEntryName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="The entry's name.",
        autocompletion=_complete_entry,
        show_default=False,
    ),
]
EntryNames = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME",
        help="The names of entries.",
        autocompletion=_complete_entry,
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs; sizes in bytes.")]
