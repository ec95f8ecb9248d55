"""Checkpoints as entries: their files are the segments, and are not read.

A checkpoint of several files is an entry for each, and one that names them: loaded, it is one
dict. The names of the parts tell which version of a file they are, so that importing a changed
checkpoint replaces all of it at once, by replacing the one entry that has the names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.errors import CorruptEntry, EntryExists, EntryNotFound
from onecopy.segments import container, files, region, trailer
from onecopy.store import messages
from onecopy.store.checkpoint_files import SUFFIX, default_name, files_of, open_file
from onecopy.store.filing import facts_of, reserve, save_file
from onecopy.store.index.slot import spec_room
from onecopy.store.names import check_name
from onecopy.store.saving import check_ttl, save_segment
from onecopy.tensors.checkpoint import open_value
from onecopy.tensors.values import Packed

if TYPE_CHECKING:
    from onecopy.store.channel import Channel
    from onecopy.store.checkpoint_files import CheckpointFile
    from onecopy.store.client import Store

_ALIGN: Final = 64


class Options(NamedTuple):
    """What is asked for when an entry is saved."""

    overwrite: bool
    pin: bool
    ttl: float | None


def import_checkpoint(store: Store, path: Path, name: str | None, options: Options) -> str:
    """Make a checkpoint an entry, and return its name."""
    found = files_of(path)
    name = default_name(path) if name is None else name
    check_name(name)
    check_ttl(options.ttl)
    if not options.overwrite and name in store:
        raise EntryExists(f"{name!r} exists already; import with overwrite=True, or another name")
    old = store._entries.with_parts([name])[1:] if name in store else []
    if len(found) == 1:
        with open_file(found[0]) as file:
            _import_file(store, file, name, options)
        parts: list[str] = []
    else:
        parts = _import_parts(store, found, name, options)
    _forget(store, [each for each in old if each not in parts])
    return name


def _import_parts(store: Store, paths: list[Path], name: str, options: Options) -> list[str]:
    """Import each file, then the entry that names them; return the parts' names."""
    parts: list[str] = []
    made: list[str] = []
    seen: set[str] = set()
    try:
        for path in paths:
            with open_file(path) as file:
                _check_disjoint(file, seen)
                parts.append(f"{name}/{path.name.removesuffix(SUFFIX)}@{file.version}")
                if parts[-1] not in store:
                    _import_file(store, file, parts[-1], options)
                    made.append(parts[-1])
        _save_names(store, parts, name, options)
    except BaseException:
        _forget(store, made)
        raise
    return parts


def _check_disjoint(file: CheckpointFile, seen: set[str]) -> None:
    if twice := seen & file.facts.keys:
        raise CorruptEntry(
            f"{file.path} has the tensor {min(twice)!r}, and another file has it too"
        )
    seen |= file.facts.keys


def _save_names(store: Store, parts: list[str], name: str, options: Options) -> None:
    """Save the entry that is put together from these."""
    packed, key = Packed(parts, _ALIGN), check_name(name)
    filed = bool(store._directory)
    if filed:
        packed.as_file(trailer.nbytes_for(key), _ALIGN)
    message = messages.Save(
        name=name,
        size=packed.size,
        data_start=packed.data_start,
        spec_offset=packed.spec_offset,
        spec_nbytes=len(packed.spec),
        nbytes=packed.nbytes,
        spec=packed.spec if len(packed.spec) <= spec_room(key) else b"",
        kind=region.FILE if filed else region.SEALED,
        reserved=filed,
        parts=True,
        **options._asdict(),
    )
    hand_over = save_file if filed else save_segment
    store._connection.use(lambda channel: hand_over(channel, message, packed, None))


def _import_file(store: Store, file: CheckpointFile, name: str, options: Options) -> None:
    if not file.facts.aligned:
        # No view of such a tensor is safe: compiled code relies on alignment.
        store.save(name, open_value(file.path), **options._asdict())
        file.check_unchanged()
        return
    store._connection.use(lambda channel: _hand_over(store, channel, file, name, options))
    try:
        file.check_unchanged()
    except CorruptEntry:
        _forget(store, [name])
        raise


def _forget(store: Store, names: list[str]) -> None:
    try:
        if names:
            store.remove([name for name in names if name in store])
    except EntryNotFound:
        pass  # Somebody was faster.


def _hand_over(
    store: Store, channel: Channel, file: CheckpointFile, name: str, options: Options
) -> None:
    """Publish a file, and what its header says."""
    facts, key = file.facts, check_name(name)
    short = len(facts.spec) <= spec_room(key)
    message = messages.Save(
        name=name,
        size=file.status.st_size,
        data_start=facts.data_start,
        spec_offset=facts.data_end,
        spec_nbytes=len(facts.spec),
        nbytes=facts.nbytes,
        spec=facts.spec if short else b"",
        kind=region.FILE,
        apart=True,
        reserved=bool(store._directory),
        **options._asdict(),
    )
    fds = [os.dup(file.fd)]
    try:
        if not short:
            fds.append(_sealed(facts.spec))
        if store._directory:
            _file_reference(channel, message, file, fds)
        else:
            channel.request(message, tuple(fds))
    finally:
        for fd in fds:
            os.close(fd)


def _sealed(spec: bytes) -> int:
    fd = region.create("onecopy-spec")
    region.write(fd, [spec])
    region.seal(fd)
    return fd


def _file_reference(
    channel: Channel, message: messages.Save, file: CheckpointFile, fds: list[int]
) -> None:
    """Keep in the store's directory which file it is, and what is in it."""
    facts = facts_of(message)._replace(
        origin=os.fsencode(file.path),
        origin_size=file.status.st_size,
        origin_modified=file.status.st_mtime_ns,
    )
    spec, last = file.facts.spec, trailer.nbytes_for(facts.name, facts.origin)
    header = container.as_file(container.build_header([], len(spec), _ALIGN), last, _ALIGN)
    size = len(header) + len(spec) + last
    with reserve(channel, message.name, size, message.overwrite) as (fd, directory):
        with files.full_disk():
            files.reserve(fd, size)
            region.write(fd, [header, spec, facts.pack(size)])
            files.finish(fd, size)
        channel.request(message, (*fds, fd))
        os.fsync(directory)
