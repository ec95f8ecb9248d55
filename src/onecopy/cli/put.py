"""`put`: a file or a checkpoint becomes an entry."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from onecopy.cli.arguments import StoreName, duration, size
from onecopy.cli.output import hint, printable, stdout
from onecopy.cli.progress import progress
from onecopy.errors import CorruptEntry, EntryExists, InvalidArgument
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.store.client import Store


class PutCommand(TyperCommand):
    """Shows what cannot be said by declaring arguments: that the one in the middle is optional."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002  # the base's signature
        """Return the parts of the usage line."""
        return ["[OPTIONS]", "STORE", "[NAME]", "FILE"]


_NewName = Annotated[
    str | None,
    typer.Argument(
        metavar="NAME",
        help="The entry's name; the file's without its suffix if not given.",
        show_default=False,
    ),
]
_File = Annotated[
    Path | None, typer.Argument(metavar="FILE", help="What to save.", show_default=False)
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an entry of that name.")]
_Mutable = Annotated[
    bool, typer.Option("--mutable", help="Let who loads it write to it, seen by all.")
]
_Pin = Annotated[bool, typer.Option("--pin", help="Never evict it.")]
_Ttl = Annotated[
    float | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="Remove it so long after its last user has left, such as 10m.",
    ),
]
_Align = Annotated[
    int | None,
    typer.Option(
        parser=size, metavar="SIZE", help="Where tensors begin, 64 if not given; 4KiB for Wasm."
    ),
]
_Copy = Annotated[
    bool,
    typer.Option("--copy", help="Copy a checkpoint into the store, instead of mapping its files."),
]


def put(
    store: StoreName,
    name: _NewName = None,
    file: _File = None,
    overwrite: _Overwrite = False,
    mutable: _Mutable = False,
    pin: _Pin = False,
    ttl: _Ttl = None,
    align: _Align = None,
    copy: _Copy = False,
) -> None:
    """Save a file: the tensors of a .safetensors, the array of a .npy, the bytes of any other.

    A checkpoint, which is a .safetensors file, its index, or a directory with
    either, is not read: the store maps its files, which must not be written to
    afterwards. --copy, --mutable and --align copy it, as all other files are.
    """
    if name is None:
        raise typer.BadParameter("FILE is missing")
    path = file or Path(name)
    options: dict[str, Any] = {"overwrite": overwrite, "pin": pin, "ttl": ttl}
    copied = copy or mutable or align is not None
    if _is_checkpoint(path) and (path.suffix != ".safetensors" or not copied):
        _import(store, path, name if file else None, copied, options)
    else:
        options |= {"mutable": mutable, "align": align or 64}
        _save(store, path, name if file else path.stem, options)


def _is_checkpoint(path: Path) -> bool:
    return path.is_dir() or path.name.endswith((".safetensors", ".safetensors.index.json"))


def _import(
    store: str, path: Path, name: str | None, copied: bool, options: dict[str, Any]
) -> None:
    from onecopy.cli.stores import open_store
    from onecopy.store.checkpoint_files import default_name

    if copied:
        raise InvalidArgument(f"{path} can only be mapped; to copy, name one .safetensors file")
    with open_store(store) as opened:
        _check_free(opened, name or default_name(path), options["overwrite"])
        key = opened.import_checkpoint(path, name, **options)
        nbytes = sum(each.nbytes for each in opened.stat(opened._entries.with_parts([key])) if each)
    stdout().print(f"imported {printable(key)!r}: {format_size(nbytes)}, mapped where it is")


def _save(store: str, path: Path, key: str, options: dict[str, Any]) -> None:
    from onecopy.cli.source import open_source
    from onecopy.cli.stores import open_store

    source = open_source(path)
    with open_store(store) as opened, progress(key, source.nbytes) as advance:
        _check_free(opened, key, options["overwrite"])
        with _unchanging(path):
            opened.save(key, source.value, progress=advance, **options)
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
