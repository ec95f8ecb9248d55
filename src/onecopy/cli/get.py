"""`get`: an entry becomes a file."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from onecopy.cli.arguments import EntryName, StoreName
from onecopy.cli.output import stdout
from onecopy.cli.progress import progress
from onecopy.errors import EntryExists, InvalidArgument
from onecopy.units import format_size

# Copied by one system call; between two of them the progress moves, and ^C is heard.
_CHUNK = 32 << 20


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
    if file.is_dir():
        raise InvalidArgument(f"{file} is a folder; name a file in it")
    with open_store(store) as opened:
        segment, nbytes = opened._open_segment(name)
    try:
        with progress(name, nbytes) as advance, _troubles_of(file):
            _write_file(file, segment, nbytes, advance)
    finally:
        os.close(segment)
    stdout().print(f"wrote {file}: {format_size(nbytes)}")


def _write_file(path: Path, segment: int, nbytes: int, advance: Callable[[int], None]) -> None:
    """Write a file that is complete, and on the disk, before it has its name."""
    # Beside its place, for a rename cannot leave the file system; hidden, for it is no result.
    partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        try:
            _copy(segment, fd, nbytes, advance)
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.replace(path)
    except BaseException:
        partial.unlink()
        raise
    _sync_folder(path.parent)


def _copy(source: int, target: int, nbytes: int, advance: Callable[[int], None]) -> None:
    """Copy in the kernel: this process neither maps nor reads the bytes."""
    offset = 0
    while offset < nbytes:
        copied = os.sendfile(target, source, offset, min(_CHUNK, nbytes - offset))
        if not copied:
            raise OSError(errno.EIO, "the segment ended too early")
        offset += copied
        advance(copied)


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a crash of the machine."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


@contextmanager
def _troubles_of(path: Path) -> Iterator[None]:
    """Give errors of the system the name of the file that they are about."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
