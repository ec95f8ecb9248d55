"""`get`: an entry becomes a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from onecopy.cli.arguments import EntryName, StoreName
from onecopy.cli.output import stdout
from onecopy.cli.progress import progress
from onecopy.errors import EntryExists, OnecopyError
from onecopy.units import format_size


def get(
    store: StoreName,
    name: EntryName,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where to write it.", show_default=False)
    ],
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace FILE.")] = False,
) -> None:
    """Write an entry to a file, in safetensors format. The file appears when it is complete."""
    from onecopy.cli.stores import open_store

    if file.exists() and not force:
        raise EntryExists(f"{file} exists already; give --force to replace it")
    with open_store(store) as opened:
        nbytes = opened.stat(name).nbytes
        with progress(name, nbytes) as advance, _troubles_of(file):
            opened.snapshot(file, name, overwrite=force, progress=advance)
    stdout().print(f"wrote {file}: {format_size(file.stat().st_size)}")


@contextmanager
def _troubles_of(path: Path) -> Iterator[None]:
    """Give errors of the system the name of the file that they are about."""
    try:
        yield
    except OnecopyError:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
