"""`ls`, `stat` and `rm`: what there is, and how to be rid of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from onecopy.cli.arguments import EntryNames, Json, OptionalEntryName, OptionalStoreName, StoreName
from onecopy.cli.output import (
    complain,
    facts_of,
    flags_of,
    format_duration,
    hint,
    printable,
    show_facts,
    show_json,
    show_table,
    yes_or_no,
)
from onecopy.errors import EntryNotFound
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.store.messages import EntryStat, StoreStats


def ls(
    store: OptionalStoreName = None,
    prefix: Annotated[
        str, typer.Argument(metavar="PREFIX", help="How the names begin.", show_default=False)
    ] = "",
    json: Json = False,
) -> None:
    """List the entries of a store, or without STORE the running stores."""
    if store is None:
        _list_stores(json)
    else:
        _list_entries(store, prefix, json)


def _list_stores(json: bool) -> None:
    from onecopy.cli.stores import answers

    all_stores = list(answers())
    found = [stats for _, stats in all_stores if stats is not None]
    for name, stats in all_stores:
        if stats is None:
            complain(f"the store {name!r} does not answer; `onecopy doctor` says more")
    if json:
        show_json([facts_of(each) for each in found])
    elif found:
        columns = ("name", "entries", "used", "capacity", "clients", "pid", "age")
        show_table(columns, map(_store_row, found), numbers=columns[1:])
    elif not all_stores:
        hint("no store is running; start one with `onecopy serve NAME`")


def _store_row(stats: StoreStats) -> tuple[str, ...]:
    return (
        stats.name,
        str(stats.entries),
        format_size(stats.used),
        format_size(stats.capacity),
        # This command is one of them.
        str(stats.clients - 1),
        str(stats.pid),
        format_duration(time.time() - stats.started),
    )


def _list_entries(store: str, prefix: str, json: bool) -> None:
    from onecopy.cli.stores import open_store

    with open_store(store) as opened:
        # An entry may go between the two questions.
        found = [each for each in opened.stat(opened.names(prefix)) if each is not None]
    if json:
        show_json([facts_of(each) for each in found])
    elif found:
        columns = ("name", "size", "in use", "hits", "flags", "age")
        show_table(columns, map(_entry_row, found), numbers=("size", "hits", "age"))
    else:
        like = f" that begin with {prefix!r}" if prefix else ""
        hint(f"the store {store!r} has no entries{like}")


def _entry_row(entry: EntryStat) -> tuple[str, ...]:
    return (
        printable(entry.name),
        format_size(entry.nbytes),
        yes_or_no(entry.in_use),
        str(entry.hits),
        flags_of(entry),
        format_duration(time.time() - entry.created),
    )


def stat(store: StoreName, name: OptionalEntryName = None, json: Json = False) -> None:
    """Show facts about an entry, or without NAME about the store."""
    from onecopy.cli.stores import open_store

    with open_store(store) as opened:
        found = opened.stats() if name is None else opened.stat(name)
    if json:
        show_json(facts_of(found))
    else:
        show_facts(
            (key.replace("_", " "), _text(key, fact)) for key, fact in facts_of(found).items()
        )


_SIZES = frozenset({"nbytes", "resident", "capacity", "used", "lingering", "reserved"})
_MOMENTS = frozenset({"created", "last_used", "started"})


def _text(key: str, fact: object) -> str:
    match fact:
        case None:
            return "none"
        case bool():
            return yes_or_no(fact)
        case int() if key in _SIZES:
            return f"{format_size(fact)} ({fact} bytes)" if fact >= 1024 else f"{fact} bytes"
        case float() if key in _MOMENTS:
            moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(fact))
            return f"{moment} ({format_duration(time.time() - fact)} ago)"
        case float():
            return format_duration(fact)
        case _:
            return printable(str(fact))


def rm(store: StoreName, names: EntryNames, json: Json = False) -> None:
    """Remove entries: all of them, or none if one does not exist. Who holds one keeps it."""
    from onecopy.cli.stores import open_store

    with open_store(store) as opened:
        missing = [name for name in names if name not in opened]
        if missing:
            raise EntryNotFound(
                f"no entry {missing[0]!r} in store {store!r}, so nothing was removed; "
                f"`onecopy ls {store}` shows what there is"
            )
        opened.remove(names)
    if json:
        show_json({"removed": names})
