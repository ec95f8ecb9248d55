"""The files of a checkpoint: which there are, and what their headers say."""

from __future__ import annotations

import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from onecopy.errors import CorruptEntry, InvalidArgument, OnecopyError
from onecopy.tensors.imports import Imported, examine

if TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX: Final = ".safetensors"
_INDEX: Final = ".index.json"


class _Index(msgspec.Struct):
    """`model.safetensors.index.json`: which file has which tensor."""

    weight_map: dict[str, str]


def default_name(path: Path) -> str:
    """Return what a checkpoint is called if nobody says: as its file or directory is."""
    return path.resolve().name.removesuffix(_INDEX).removesuffix(SUFFIX)


def files_of(path: Path) -> list[Path]:
    """Return the files of a checkpoint: of a file, an index, or a directory with either.

    Raises:
        InvalidArgument: there is none, or more than one checkpoint.
        CorruptEntry: its index promises what is not there.
    """
    if path.name.endswith(_INDEX):
        return _indexed(path)
    if not path.is_dir():
        return [path]
    indices = sorted(path.glob(f"*{SUFFIX}{_INDEX}"))
    if len(indices) > 1:
        names = ", ".join(each.name for each in indices)
        raise InvalidArgument(f"{path} has several checkpoints ({names}); name one of these files")
    found = _indexed(indices[0]) if indices else sorted(path.glob(f"*{SUFFIX}"))
    if not found:
        raise InvalidArgument(f"{path} has no .safetensors file; convert the checkpoint first")
    return found


def _indexed(path: Path) -> list[Path]:
    try:
        weights = msgspec.json.decode(path.read_bytes(), type=_Index).weight_map
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptEntry(f"{path} is no index of a checkpoint: {error}") from None
    names = sorted(set(weights.values()))
    for name in names:
        # An index that points elsewhere could share files that nobody meant to share.
        if not name or Path(name).name != name or name.startswith("."):
            raise CorruptEntry(f"{path} names the file {name!r}, which is not beside it")
        if not (path.parent / name).exists():
            raise CorruptEntry(f"{path} names the file {name!r}, which is missing; copy it again")
    if not names:
        raise CorruptEntry(f"{path} names no files")
    for name in names:
        _check_tensors(path.parent / name, {key for key, file in weights.items() if file == name})
    return [path.parent / name for name in names]


def _check_tensors(path: Path, keys: set[str]) -> None:
    with open_file(path) as file:
        missing = sorted(keys - file.facts.keys)
    if missing and file.facts.keys:
        raise CorruptEntry(f"{path} lacks the tensor {missing[0]!r} that the index promises")


class CheckpointFile(NamedTuple):
    """A file of a checkpoint, open."""

    path: Path
    fd: int
    status: os.stat_result
    facts: Imported

    def check_unchanged(self) -> None:
        """Raise `CorruptEntry` if somebody wrote to it since it was opened."""
        now = os.fstat(self.fd)
        if (now.st_mtime_ns, now.st_size) != (self.status.st_mtime_ns, self.status.st_size):
            raise CorruptEntry(f"{self.path} was changed while it was imported; import it again")

    @property
    def version(self) -> str:
        """Another one for each version of the file."""
        return f"{self.status.st_ino:x}-{self.status.st_mtime_ns:x}-{self.status.st_size:x}"


@contextmanager
def open_file(path: Path) -> Iterator[CheckpointFile]:
    """Open a file of a checkpoint, and read its header.

    Raises:
        InvalidArgument: it is none that can be mapped.
        CorruptEntry: it is no safetensors file.
    """
    # Links are followed to the end: a cache may put another file under the same link.
    path = path.resolve()
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidArgument(f"{path} is not a file that can be mapped; copy it into one")
        try:
            facts = examine(fd, status.st_size)
        except OnecopyError as error:
            raise type(error)(f"{path}: {error}") from error
        yield CheckpointFile(path, fd, status, facts)
    finally:
        os.close(fd)
