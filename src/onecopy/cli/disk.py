"""`snapshot` and `verify`: entries on disk, written and checked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from onecopy.cli.arguments import StoreName
from onecopy.cli.output import complain, hint, printable, show_json, stdout
from onecopy.cli.progress import progress
from onecopy.errors import CorruptEntry, EntryExists, InvalidArgument, StoreUnavailable
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.store.verifying import Verdict


def snapshot(
    store: StoreName,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="What to write.", show_default=False)
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Which entries; all if not given."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a snapshot.")] = False,
) -> None:
    """Write a store to a directory, which `onecopy.open` opens without a daemon.

    It appears when it is complete. For one entry as a file there is `onecopy
    get`.
    """
    from onecopy.cli.stores import open_store

    if not force and (path.exists() or path.is_symlink()):
        raise EntryExists(f"{path} exists already; give --force to replace it, or another path")
    with open_store(store) as opened:
        entries = [each for each in opened.stat(names or opened.names()) if each is not None]
        nbytes = sum(each.nbytes for each in entries)
        with progress(path.name, nbytes) as advance:
            opened.snapshot(path, names or None, overwrite=force, progress=advance)
    stdout().print(f"wrote {path}: {len(entries)} entries, {format_size(nbytes)}")


def verify(
    what: Annotated[
        str,
        typer.Argument(
            metavar="PATH|STORE",
            help="A snapshot, a file, or a store that is served from a directory.",
            show_default=False,
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Read files to the last byte, and compare them with their checksums."""
    from onecopy.store.verifying import verify as verdicts

    path = _path(what)
    total = sum(each.stat().st_size for each in path.iterdir()) if path.is_dir() else None
    with progress(path.name, total or path.stat().st_size) as advance:
        found = list(verdicts(path, advance))
    bad = [each for each in found if each.error is not None]
    if json:
        show_json([_facts(each) for each in found])
    else:
        _show(found)
    if bad:
        raise CorruptEntry(f"{len(bad)} of {len(found)} files are damaged; copy them again")


def _path(what: str) -> Path:
    """Return the path that is meant, which may be a store's directory."""
    if Path(what).exists():
        return Path(what)
    from onecopy.cli.stores import probe

    try:
        directory = probe(what).directory
    except (InvalidArgument, StoreUnavailable):
        raise InvalidArgument(
            f"{what!r} is neither a file or directory nor a running store"
        ) from None
    if not directory:
        raise InvalidArgument(
            f"the store {what!r} keeps its entries in memory, where they have no checksums; "
            "take a snapshot, and verify that"
        )
    return Path(directory)


def _show(found: list[Verdict]) -> None:
    for each in found:
        if each.error is not None:
            complain(str(each.error))
    unchecked = [each for each in found if each.error is None and not each.checked]
    for each in unchecked:
        hint(f"{printable(each.path.name)} has no checksum; its header is as it should be")
    good = [each for each in found if each.checked]
    nbytes = sum(each.nbytes for each in good)
    stdout().print(f"{len(good)} of {len(found)} files match, {format_size(nbytes)}")


def _facts(verdict: Verdict) -> dict[str, object]:
    error = None if verdict.error is None else str(verdict.error)
    return {"path": str(verdict.path), "checked": verdict.checked, "error": error}
