"""Arguments that several commands of `guest` have: configuration, memory, windows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

from onecopy.cli.arguments import size
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import ExitStack

    from onecopy.guests.windows.source import Access
    from onecopy.store.ref import Ref

_WINDOW: Final = re.compile(r"([^=]+)=([^/=]+)/(.+?)(?::(rw|r))?", re.DOTALL)

Config = Annotated[
    Path | None,
    typer.Option("--config", "-c", metavar="FILE", help="What the guest gets by oc_config."),
]
ConfigText = Annotated[
    str, typer.Option(metavar="TEXT", help="The same, as a text instead of a file.")
]
MemoryLimit = Annotated[
    int,
    typer.Option(parser=size, metavar="SIZE", help="How much memory of its own it may use."),
]
WindowArguments = Annotated[
    list[str] | None,
    typer.Option(
        "--window",
        "-w",
        metavar="NAME=STORE/ENTRY[:rw]",
        help="Show an entry to the guest; rw (mutable entries only): it may write to it.",
    ),
]


def config_bytes(file: Path | None, text: str) -> bytes:
    """Return what `--config` or `--config-text` says."""
    return text.encode() if file is None else file.read_bytes()


class WindowArgument(NamedTuple):
    """What `--window name=STORE/ENTRY[:rw]` says."""

    name: str
    store: str
    entry: str
    access: Access


def parse_window(text: str) -> WindowArgument:
    """Read the value of `--window`; the entry's name may hold anything but a final `:r` or `:rw`.

    Raises:
        InvalidArgument: it has another form.
    """
    match = _WINDOW.fullmatch(text)
    if match is None:
        raise InvalidArgument(
            f"{text!r} is no window; write NAME=STORE/ENTRY or NAME=STORE/ENTRY:rw"
        )
    name, store, entry, access = match.groups()
    return WindowArgument(name, store, entry, "rw" if access == "rw" else "r")


def refs_of(windows: Iterable[str], stack: ExitStack) -> dict[str, tuple[Ref, Access]]:
    """Return what the values of `--window` name; their stores are closed with the stack."""
    from onecopy.cli.stores import open_store

    refs = {}
    for each in map(parse_window, windows):
        store = stack.enter_context(open_store(each.store))
        refs[each.name] = (store.ref(each.entry), each.access)
    return refs
