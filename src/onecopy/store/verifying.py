"""Checking files against their checksums, and their headers against their bytes."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from onecopy.errors import CorruptEntry, InvalidArgument, OnecopyError
from onecopy.segments import checksum, container, trailer
from onecopy.store.entry_file import FLAGS
from onecopy.store.filenames import MANIFEST, SUFFIX
from onecopy.store.folder import check_manifest
from onecopy.tensors import spec as specs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from onecopy.segments.container import Header


class Verdict(NamedTuple):
    """What became of one file."""

    path: Path
    nbytes: int
    checked: bool
    """Whether it has a checksum, and matches it."""
    error: OnecopyError | None
    """What is wrong with it."""


def verify(path: Path, advance: Callable[[int], object] = lambda _: None) -> Iterator[Verdict]:
    """Yield a verdict on a safetensors file, or on each in a directory; on a snapshot's whole.

    Reads every byte. `advance(n)` hears of every n bytes that were checked.

    Raises:
        InvalidArgument: there is no such file in `path`.
    """
    if not path.is_dir():
        yield _verdict(path, advance)
        return
    if (path / MANIFEST).exists():
        yield _verdict_on_manifest(path)
    found = sorted(each for each in path.glob(f"*{SUFFIX}") if not each.name.startswith("."))
    if not found and not (path / MANIFEST).exists():
        raise InvalidArgument(f"{path} has no {SUFFIX} file; name a snapshot or a checkpoint")
    for each in found:
        yield _verdict(each, advance)


def _verdict_on_manifest(path: Path) -> Verdict:
    try:
        check_manifest(path)
    except OnecopyError as error:
        return Verdict(path / MANIFEST, 0, False, error)
    return Verdict(path / MANIFEST, 0, True, None)


def _verdict(path: Path, advance: Callable[[int], object]) -> Verdict:
    try:
        fd = os.open(path, FLAGS)
    except FileNotFoundError:
        raise InvalidArgument(f"there is no file {path}; check the path") from None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return Verdict(path, 0, False, CorruptEntry(f"{path} is not a regular file"))
        checked = _check(fd, status.st_size, advance)
        return Verdict(path, status.st_size, checked, None)
    except OnecopyError as error:
        return Verdict(path, 0, False, CorruptEntry(f"{path}: {error}"))
    finally:
        os.close(fd)


def _check(fd: int, size: int, advance: Callable[[int], object]) -> bool:
    """Check a file; say whether it has a checksum."""
    header = container.read_header(fd, size)
    if container.TRAILER_NAME in header.tensors and "onecopy" in header.metadata:
        _check_entry(fd, size, header)
    return checksum.verify(fd, size, advance)


def _check_entry(fd: int, size: int, header: Header) -> None:
    """Check what an entry's file says of itself in three places."""
    facts, before = trailer.read(fd, size)
    start, end = header.tensors[container.TRAILER_NAME].data_offsets
    if end - start != trailer.nbytes_for(facts.name, facts.origin):
        raise CorruptEntry("its header and its trailer contradict each other")
    if not facts.origin and header.data_start != facts.data_start:
        raise CorruptEntry("its header and its trailer contradict each other")
    spec = trailer.spec_of(fd, size, facts, before)
    specs.decode(spec, facts.spec_offset - facts.data_start)
    if facts.origin:
        os.close(trailer.open_origin(facts))
