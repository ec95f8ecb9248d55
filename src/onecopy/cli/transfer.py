"""`put` and `get`: files into a store and out of it."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from onecopy.cli.arguments import EntryName, StoreName, duration, size
from onecopy.cli.output import hint, printable, stderr, stdout
from onecopy.errors import CorruptEntry, EntryExists, InvalidArgument
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.store.client import Store

# Copied by one system call; between two of them the progress moves, and ^C is heard.
_CHUNK = 32 << 20


class PutCommand(TyperCommand):
    """Shows what cannot be said by declaring arguments: that the one in the middle is optional."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the base's signature
        """Return the parts of the usage line."""
        return ["[OPTIONS]", "STORE", "[NAME]", "FILE"]


def put(
    store: StoreName,
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The entry's name; the file's without its suffix if not given.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="What to save.", show_default=False)
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an entry of that name.")
    ] = False,
    mutable: Annotated[
        bool, typer.Option("--mutable", help="Let who loads it write to it, seen by all.")
    ] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Never evict it.")] = False,
    ttl: Annotated[
        float | None,
        typer.Option(
            parser=duration,
            metavar="DURATION",
            help="Remove it so long after its last user has left, such as 10m.",
        ),
    ] = None,
    align: Annotated[
        int,
        typer.Option(parser=size, metavar="SIZE", help="Where tensors begin; 4KiB for Wasm."),
    ] = 64,
) -> None:
    """Save a file: the tensors of a .safetensors, the array of a .npy, the bytes of any other.

    The file is mapped: its bytes are copied once, into the store.
    """
    from onecopy.cli.source import open_source
    from onecopy.cli.stores import open_store

    if name is None:
        raise typer.BadParameter("FILE is missing")
    path = file or Path(name)
    key = name if file else path.stem
    source = open_source(path)
    with open_store(store) as opened, _progress(key, source.nbytes) as advance:
        _check_free(opened, key, overwrite)
        with _unchanging(path):
            opened.save(
                key,
                source.value,
                overwrite=overwrite,
                mutable=mutable,
                pin=pin,
                ttl=ttl,
                align=align,
                progress=advance,
            )
    stdout().print(f"saved {printable(key)!r}: {source.kind}, {format_size(source.nbytes)}")
    _explain_pickle(path)


def _check_free(store: Store, name: str, overwrite: bool) -> None:
    if not overwrite and name in store:
        raise EntryExists(
            f"{name!r} exists already in store {store.name!r}; give --overwrite to replace it, or "
            "another name"
        )


@contextmanager
def _unchanging(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # The kernel met the end of a mapped file where there were bytes before.
        if error.errno == errno.EFAULT:
            raise CorruptEntry(f"{path} was cut short while it was saved") from error
        raise


def _explain_pickle(path: Path) -> None:
    from onecopy.cli.source import is_pickle

    if is_pickle(path):
        hint(
            f"{path.name} looks like a pickle, which onecopy never opens; for tensors instead of "
            "bytes, convert it to .safetensors"
        )


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
        with _progress(name, nbytes) as advance, _troubles_of(file):
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


@contextmanager
def _progress(title: str, nbytes: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on the terminal, if there is one, and yield what advances it."""
    from rich.markup import escape
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (
        TextColumn(escape(printable(title))),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
    )
    console = stderr()
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=nbytes)
        yield lambda count: bar.advance(task, count)
