"""Where entries are that no daemon serves: a folder of files, or a single file."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from onecopy.errors import CorruptEntry, EntryNotFound, InvalidArgument
from onecopy.store.entry_file import EntryFile, check_mode
from onecopy.store.filenames import LOCK, MANIFEST, SUFFIX, file_name
from onecopy.store.messages import EntryStat
from onecopy.store.names import check_name
from onecopy.store.parts import Parts
from onecopy.tensors.checkpoint import open_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from onecopy.segments.mapping import Mode

_VERSION: Final = "1"


class Manifest(msgspec.Struct, frozen=True):
    """What a snapshot consists of: written last, so that what lacks it is none."""

    entries: dict[str, int]
    """The size of each entry's file."""
    onecopy: str = _VERSION
    """The version of this layout."""


class Files(Protocol):
    """Entries in files. What does not exist is `EntryNotFound`."""

    def load(self, name: str, mode: Mode | None) -> Any:
        """Return the value of an entry, or the names of its `Parts`."""
        ...

    def contains(self, name: str) -> bool:
        """Say whether there is such an entry."""
        ...

    def names(self) -> list[str]:
        """Return the names of all."""
        ...

    def stat(self, name: str) -> EntryStat:
        """Return facts about one."""
        ...

    def close(self) -> None:
        """Let go of everything."""
        ...


def open_files(path: Path) -> Files:
    """Open whatever is at `path`."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise InvalidArgument(f"there is no snapshot {path}; check the path") from None
    if not stat.S_ISDIR(status.st_mode):
        return _entry_or_foreign(path)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return Folder(path, directory)
    except BaseException:
        os.close(directory)
        raise


class Folder:
    """A snapshot, or the directory of a store, whose entries may come and go."""

    def __init__(self, path: Path, directory: int) -> None:
        self._path = path
        # Not the path: another snapshot may take its place.
        self._directory = directory
        self._sizes = _read_manifest(path, directory)

    def load(self, name: str, mode: Mode | None) -> Any:
        """Return the value of an entry, or the names of its parts."""
        with self._open(name) as file:
            value = file.load(mode)
            return Parts.of(value) if file.parts else value

    def _open(self, name: str) -> EntryFile:
        key = check_name(name)
        try:
            file = EntryFile(file_name(key), self._directory)
        except FileNotFoundError:
            raise EntryNotFound(
                f"no entry {name!r} in {self._path}; names() lists what there is"
            ) from None
        if file.facts.name != key:
            file.close()
            raise CorruptEntry(f"{self._path / file.path} is the file of another entry")
        return file

    def contains(self, name: str) -> bool:
        """Say whether there is such an entry."""
        if self._sizes is not None:
            return name in self._sizes
        try:
            self._open(name).close()
        except (EntryNotFound, CorruptEntry):
            return False
        return True

    def names(self) -> list[str]:
        """Return the names of all; where a daemon may be at work, of those at this moment."""
        return list(self._scan() if self._sizes is None else self._sizes)

    def _scan(self) -> Iterator[str]:
        with os.scandir(self._directory) as items:
            names = [item.name for item in items]
        for name in names:
            if name.endswith(SUFFIX) and not name.startswith("."):
                try:
                    with EntryFile(name, self._directory) as file:
                        key = file.facts.name
                except (OSError, CorruptEntry):
                    continue  # Just removed, or no entry: the daemon leaves those alone, too.
                if file_name(key) == name:
                    yield key.decode()

    def stat(self, name: str) -> EntryStat:
        """Return facts about one."""
        with self._open(name) as file:
            return file.stat()

    def close(self) -> None:
        """Let go of the directory."""
        os.close(self._directory)


def _read_manifest(path: Path, directory: int) -> dict[str, int] | None:
    """Return the names and sizes in a snapshot; None in the directory of a store."""
    try:
        text = (path / MANIFEST).read_bytes()
    except FileNotFoundError:
        if not (path / LOCK).exists():
            raise InvalidArgument(
                f"{path} is neither a snapshot nor the directory of a store; if it is a "
                "checkpoint, import it into a store (`onecopy put`)"
            ) from None
        return None
    try:
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CorruptEntry(f"{path / MANIFEST} does not parse ({error}); copy it again") from None
    if manifest.onecopy != _VERSION:
        raise CorruptEntry(f"{path} has version {manifest.onecopy!r}; upgrade onecopy")
    for name, size in manifest.entries.items():
        _check_size(path, directory, file_name(check_name(name)), size)
    return manifest.entries


def check_manifest(path: Path) -> None:
    """Raise `CorruptEntry` unless a snapshot has all its files, in their sizes."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _read_manifest(path, directory)
    finally:
        os.close(directory)


def _check_size(path: Path, directory: int, name: str, size: int) -> None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False).st_size
    except OSError as error:
        raise CorruptEntry(
            f"{path / name} is missing ({error.strerror}): this is half a snapshot; copy it again"
        ) from None
    if found != size:
        raise CorruptEntry(
            f"{path / name} has {found} bytes instead of {size}: this is half a snapshot; copy it "
            "again"
        )


def _entry_or_foreign(path: Path) -> Files:
    try:
        return _Single(path)
    except CorruptEntry:
        return _Foreign(path)


class _Alone:
    """A single file."""

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name

    def check(self, name: str) -> None:
        """Raise `EntryNotFound` for any other name."""
        check_name(name)
        if name != self.name:
            raise EntryNotFound(f"{self.path} has no entry {name!r}; it has {self.name!r}")

    def contains(self, name: str) -> bool:
        """Say whether it is the entry's name."""
        return name == self.name

    def names(self) -> list[str]:
        """Return the entry's name."""
        return [self.name]


class _Single(_Alone):
    """The file of one entry."""

    def __init__(self, path: Path) -> None:
        self._file = EntryFile(str(path))
        super().__init__(path, self._file.facts.name.decode())

    def load(self, name: str, mode: Mode | None) -> Any:
        """Return the value."""
        self.check(name)
        return self._file.load(mode)

    def stat(self, name: str) -> EntryStat:
        """Return facts about it."""
        self.check(name)
        return self._file.stat()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()


class _Foreign(_Alone):
    """A safetensors file of others; its stem is its entry's name."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, path.stem)
        open_value(path)  # Now, so that what is none is refused now.

    def load(self, name: str, mode: Mode | None) -> Any:
        """Return its tensors."""
        self.check(name)
        return open_value(self.path, check_mode(mode))

    def stat(self, name: str) -> EntryStat:
        """Return facts about it, as far as the file system knows them."""
        self.check(name)
        status = self.path.stat()
        return EntryStat(
            name=name,
            nbytes=status.st_size,
            resident=status.st_blocks * 512,
            in_use=False,
            hits=0,
            mutable=False,
            pinned=False,
            ttl=None,
            created=status.st_mtime,
            last_used=status.st_mtime,
        )

    def close(self) -> None:
        """Let go of nothing: it is opened for each load."""
