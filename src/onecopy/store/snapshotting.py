"""Writing entries out: a store as a directory, or one entry as a file.

Nothing is at the path before all of it is, and is on the disk: files are written beside it,
under a hidden name, and one rename brings them there.
"""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from onecopy.errors import (
    AccessDenied,
    CorruptEntry,
    EntryExists,
    EntryNotFound,
    InvalidArgument,
)
from onecopy.segments import container, files, trailer
from onecopy.segments.checksum import Running
from onecopy.segments.trailer import Trailer
from onecopy.store import manifest, shards
from onecopy.store.filenames import MANIFEST, file_name
from onecopy.store.filing import write_entry
from onecopy.store.folder import Manifest
from onecopy.store.names import HIDDEN
from onecopy.tensors.values import Packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from onecopy.store.client import Store
    from onecopy.store.index.slot import Found
    from onecopy.store.messages import EntryStat

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_ALIGNMENT: Final = 64
_LARGEST_ALIGNMENT: Final = 1 << 21


class _Source(NamedTuple):
    """An entry that is to be written, its segment open."""

    fd: int
    found: Found
    entry: EntryStat

    def facts(self, data_start: int, spec_offset: int, spec_nbytes: int) -> Trailer:
        """Return what the trailer of its file says."""
        entry = self.entry
        flags = trailer.flags(pinned=entry.pinned, parts=self.found.parts)
        created, key = int(entry.created * 1e9), entry.name.encode()
        offsets = (data_start, spec_offset, spec_nbytes, entry.nbytes)
        return Trailer(key, *offsets, created, entry.ttl, flags)


class Writer:
    """Writes entries of a store."""

    def __init__(
        self, store: Store, *, overwrite: bool, sync: bool, advance: Callable[[int], object]
    ) -> None:
        self._store = store
        self._overwrite = overwrite
        self._sync = sync
        self._advance = advance

    def write_file(self, path: Path, name: str) -> None:
        """Write one entry to the file `path`."""
        if path.is_dir():
            raise InvalidArgument(f"{path} is a folder; name a file in it")
        self._check_free(path)
        entry = self._store.stat(name)
        with _beside(path) as partial:
            self._write(entry, partial, single=True)
            partial.replace(path)
        self._sync_folder(path.parent)

    def write_folder(self, path: Path, names: Sequence[str] | None) -> None:
        """Write entries to the directory `path`, all if `names` is None."""
        self._check_free(path)
        if path.exists() and not (path / MANIFEST).is_file():
            raise InvalidArgument(f"{path} is no snapshot, and is left alone; choose another path")
        with _beside(path) as partial:
            partial.mkdir()
            sizes = dict(self._write_all(partial, names))
            (partial / MANIFEST).write_bytes(msgspec.json.encode(Manifest(sizes)))
            self._sync_all(partial)
            if path.exists():
                files.exchange(partial, path)  # What was there goes in the end.
            else:
                partial.rename(path)
        self._sync_folder(path.parent)

    def _check_free(self, path: Path) -> None:
        if not self._overwrite and (path.exists() or path.is_symlink()):
            raise EntryExists(f"{path} exists already; give overwrite=True, or another path")

    def _sync_folder(self, folder: Path) -> None:
        if self._sync:
            files.sync_folder(folder)

    def _sync_all(self, folder: Path) -> None:
        """Bring all of a new folder onto the disk: once, for to wait for each file takes long."""
        if self._sync:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                files.sync_file_system(fd)
            finally:
                os.close(fd)

    def _write_all(self, folder: Path, names: Sequence[str] | None) -> Iterator[tuple[str, int]]:
        """Write the entries to a new folder, and yield each one's name and size."""
        store = self._store
        if names is None:
            wanted = store.names() + store.names(HIDDEN)
        else:
            with shards.with_parts(store, list(names)) as composed:
                wanted = list(dict.fromkeys(store._entries.with_parts(composed)))
        for name, entry in zip(wanted, store._entries.stat(wanted), strict=True):
            try:
                if entry is None:
                    raise EntryNotFound(
                        f"no entry {name!r} in store {store.name!r}; names() or `onecopy ls` "
                        "lists what there is"
                    )
                path = folder / file_name(name.encode())
                size = self._write(entry, path)
                path.chmod(path.stat().st_mode & 0o444)  # As in the directory of a store.
                yield name, size
            except EntryNotFound:
                if names is not None:
                    raise
                # Removed since it was listed: then the snapshot is of a moment after that.

    def _write(self, entry: EntryStat, path: Path, *, single: bool = False) -> int:
        """Write one entry to a new file, and return its size."""
        segment, found = self._store._entries.open(entry.name)
        target = -1
        try:
            target = os.open(path, _CREATE, 0o666)
            size = self._fill(_Source(segment, found, entry), target, single)
            if self._sync and single:
                os.fdatasync(target)
            return size
        except CorruptEntry as error:
            raise CorruptEntry(f"{entry.name!r} cannot be written: {error}") from error
        finally:
            os.close(segment)
            if target >= 0:
                os.close(target)

    def _fill(self, source: _Source, target: int, single: bool) -> int:
        found = source.found
        if found.apart or (single and (found.parts or manifest.parse(found))):
            return self._pack(source, target)
        if found.modified:
            # A file of a directory is what a snapshot has, checksum and all.
            files.copy(source.fd, target, found.size, advance=self._watching(target))
            return found.size
        return self._convert(source, target)

    def _convert(self, source: _Source, target: int) -> int:
        """Copy a segment in memory, with the header and the trailer of a file."""
        found = source.found
        start, end = found.data_start, found.spec_offset + found.spec_nbytes
        last = trailer.nbytes_for(source.entry.name.encode())
        header = container.as_file(os.pread(source.fd, start, 0), last, _alignment(start))
        shift = len(header) - start
        size = end + shift + last
        facts = source.facts(len(header), found.spec_offset + shift, found.spec_nbytes)
        running = Running()
        self._append(target, 0, header, running)
        files.copy(
            source.fd, target, end - start, offset=start, to=len(header),
            see=running.update, advance=self._watching(target, len(header)),
        )  # fmt: skip
        self._append(target, size - last, facts.pack(size), running)
        files.stamp(target, running)
        return size

    def _append(self, target: int, at: int, data: bytes, running: Running) -> None:
        running.update(data)
        os.pwrite(target, data, at)

    def _watching(self, target: int, at: int = 0) -> Callable[[int], None]:
        """Return what hears of the progress of a copy, and has it written out meanwhile."""

        def advance(count: int) -> None:
            nonlocal at
            if self._sync:
                files.write_out(target, at, count)
            at += count
            self._advance(count)

        return advance

    def _pack(self, source: _Source, target: int) -> int:
        """Write a value whose bytes lie among others: only its own."""
        key = source.entry.name.encode()
        packed = Packed(self._store.load(source.entry.name), _ALIGNMENT)
        packed.as_file(trailer.nbytes_for(key), _ALIGNMENT)
        facts = source.facts(packed.data_start, packed.spec_offset, len(packed.spec))
        facts = facts._replace(nbytes=packed.nbytes, flags=facts.flags & trailer.PINNED)
        write_entry(target, facts, packed, self._advance)
        return packed.size


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield a hidden path in the same folder; whatever is there in the end is removed."""
    if not path.parent.is_dir():
        raise InvalidArgument(f"{path.parent} is no folder; make it, or choose another path")
    partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with files.full_disk():
            yield partial
    except PermissionError as error:
        if error.filename != str(partial):
            raise
        raise AccessDenied(f"{path.parent} cannot be written to; choose another path") from error
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


def _alignment(offset: int) -> int:
    """Return what an offset is aligned to: the data of a copy is to be aligned as well."""
    return min(offset & -offset, _LARGEST_ALIGNMENT)
