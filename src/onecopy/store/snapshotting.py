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

from onecopy.errors import EntryExists, EntryNotFound, InvalidArgument
from onecopy.segments import container, files, trailer
from onecopy.segments.checksum import Running
from onecopy.segments.trailer import Trailer
from onecopy.store.filenames import MANIFEST, file_name
from onecopy.store.filing import write_entry
from onecopy.store.folder import Manifest
from onecopy.tensors.values import Packed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from onecopy.store.client import Store
    from onecopy.store.index import Found
    from onecopy.store.messages import EntryStat

    Advance = Callable[[int], object]

_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_ALIGNMENT: Final = 64
_LARGEST_ALIGNMENT: Final = 1 << 21


def write_file(store: Store, path: Path, name: str, overwrite: bool, advance: Advance) -> None:
    """Write one entry to the file `path`."""
    if path.is_dir():
        raise InvalidArgument(f"{path} is a folder; name a file in it")
    if not overwrite:
        _refuse_existing(path)
    entry = store.stat(name)
    with _beside(path) as partial:
        _write(store, entry, partial, advance, single=True)
        partial.replace(path)
    files.sync_folder(path.parent)


def write_folder(
    store: Store, path: Path, names: Sequence[str] | None, overwrite: bool, advance: Advance
) -> None:
    """Write entries to the directory `path`, all if `names` is None."""
    if not overwrite:
        _refuse_existing(path)
    elif path.exists() and not (path / MANIFEST).is_file():
        raise InvalidArgument(f"{path} is no snapshot, and is left alone; choose another path")
    with _beside(path) as partial:
        partial.mkdir()
        sizes = dict(_write_all(store, partial, names, advance))
        (partial / MANIFEST).write_bytes(msgspec.json.encode(Manifest(sizes)))
        _sync(partial)
        if path.exists():
            files.exchange(partial, path)  # What was there goes in the end.
        else:
            partial.rename(path)
    files.sync_folder(path.parent)


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise EntryExists(f"{path} exists already; give overwrite=True, or another path")


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """Yield a hidden path in the same folder; whatever is there in the end is removed."""
    partial = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        with files.full_disk():
            yield partial
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        files.sync_file_system(fd)
    finally:
        os.close(fd)


def _write_all(
    store: Store, folder: Path, names: Sequence[str] | None, advance: Advance
) -> Iterator[tuple[str, int]]:
    wanted = store.names() if names is None else store._with_parts(names)
    for name, entry in zip(wanted, store.stat(wanted), strict=True):
        try:
            if entry is None:
                raise EntryNotFound(f"no entry {name!r} in store {store.name!r}")
            path = folder / file_name(name.encode())
            yield name, _write(store, entry, path, advance)
            path.chmod(path.stat().st_mode & 0o444)  # As in the directory of a store.
        except EntryNotFound:
            if names is not None:
                raise
            # Removed since it was listed: then the snapshot is of a moment after that.


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


def _write(
    store: Store, entry: EntryStat, path: Path, advance: Advance, *, single: bool = False
) -> int:
    """Write one entry to a new file, and return its size; only a single one is synced here."""
    segment, found = store._open_segment(entry.name)
    source = _Source(segment, found, entry)
    try:
        target = os.open(path, _CREATE, 0o666)
        try:
            if found.apart or (single and found.parts):
                return _pack(store, source, target, advance, single)
            if found.modified:
                return _copy(source, target, advance, single)
            return _convert(source, target, advance, single)
        finally:
            os.close(target)
    finally:
        os.close(segment)


def _copy(source: _Source, target: int, advance: Advance, sync: bool) -> int:
    """Copy the file of an entry in a directory: it is what a snapshot has, checksum and all."""
    size = source.found.size
    files.copy(source.fd, target, size, advance=advance)
    if sync:
        os.fdatasync(target)
    return size


def _convert(source: _Source, target: int, advance: Advance, sync: bool) -> int:
    """Copy a segment in memory, with the header and the trailer of a file."""
    found = source.found
    start, end = found.data_start, found.spec_offset + found.spec_nbytes
    last = trailer.nbytes_for(source.entry.name.encode())
    header = container.as_file(os.pread(source.fd, start, 0), last, _alignment(start))
    shift = len(header) - start
    size = end + shift + last
    files.reserve(target, size)
    os.pwrite(target, header, 0)
    running, at = Running(target), len(header)

    def advanced(count: int) -> None:
        nonlocal at
        at += count
        running.advance(at)
        advance(count)

    files.copy(source.fd, target, end - start, offset=start, to=at, advance=advanced)
    facts = source.facts(len(header), found.spec_offset + shift, found.spec_nbytes)
    os.pwrite(target, facts.pack(size), size - last)
    files.finish(target, size, running, sync=sync)
    return size


def _alignment(offset: int) -> int:
    """Return what an offset is aligned to: the data of a copy is to be aligned as well."""
    return min(offset & -offset, _LARGEST_ALIGNMENT)


def _pack(store: Store, source: _Source, target: int, advance: Advance, sync: bool) -> int:
    """Write the value of an entry whose bytes lie among others, or in others: only its own."""
    key = source.entry.name.encode()
    packed = Packed(store.load(source.entry.name), _ALIGNMENT)
    packed.as_file(trailer.nbytes_for(key), _ALIGNMENT)
    facts = source.facts(packed.data_start, packed.spec_offset, len(packed.spec))
    facts = facts._replace(nbytes=packed.nbytes, flags=facts.flags & trailer.PINNED)
    write_entry(target, facts, packed, advance, sync=sync)
    return packed.size
