"""The catalog of a store whose entries are files in a directory.

Beside what every catalog does, each entry has a file under its name, which is there before the
index says so and gone before the index forgets it. So what a crash leaves behind is a store.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from onecopy.errors import CorruptEntry, InvalidArgument
from onecopy.segments import region, trailer
from onecopy.store.daemon import log
from onecopy.store.daemon.books import Entry
from onecopy.store.daemon.catalog import Catalog
from onecopy.store.index.slot import APART, PARTS, Record, spec_room

if TYPE_CHECKING:
    from onecopy.segments.trailer import Trailer
    from onecopy.store.daemon.directory import Directory, FoundFile
    from onecopy.store.messages import Save


class FileCatalog(Catalog):
    """All entries, and their files."""

    def __init__(self, *arguments: Any, directory: Directory, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._directory = directory
        self._saving: tuple[object, int, bool] = (None, -1, False)

    # ---- after a restart ----

    def reopen(self) -> list[Entry]:
        """Publish what is in the directory, the oldest first, and return it.

        Of each file the last bytes are read. Nothing is evicted now, also if it all takes more
        than the capacity: the next save does that.
        """
        found = sorted(self._directory.scan(), key=lambda each: each.trailer.created)
        # CLOCK_MONOTONIC of the epoch: entries saved before the last boot count as equally old.
        epoch = time.time_ns() - time.monotonic_ns()
        entries = [entry for each in found if (entry := self._adopt(each, epoch)) is not None]
        log.info(f"reopened {len(entries)} entries in {self._directory.path}")
        return entries

    def _adopt(self, found: FoundFile, epoch: int) -> Entry | None:
        """Publish a file, or what it refers to; that may have gone."""
        try:
            segment, status, spec, spec_fd = _open_segment(found)
        except CorruptEntry as error:
            log.warning(f"{found.trailer.name.decode()!r} was left alone: {error}")
            os.close(found.fd)
            return None
        facts = found.trailer
        key = facts.name
        self._check_descriptor(max(segment, spec_fd))
        self._prepare_slot()
        refers = bool(facts.origin)
        holding = self.books.holding(status, segment, shared=refers, file=True)
        if not holding.entries:
            holding.opened = True
        entry = Entry(key.decode(), holding, 0 if refers else _on_disk(status), facts.nbytes)
        entry.pinned, entry.ttl = bool(facts.flags & trailer.PINNED), facts.ttl
        entry.last_used, entry.spec_fd = max(0, facts.created - epoch), spec_fd
        digest = self.index.hash(key)
        super()._publish(entry, None, _record(facts, key, status, entry, digest, spec))
        self.touches.clear(entry.slot)
        self.books.hold(entry)
        if holding.fd != segment:
            os.close(segment)  # Another entry refers to the same file.
        return entry

    # ---- saving ----

    def reserve(self, owner: object, name: str, nbytes: int, overwrite: bool) -> list[int]:
        """Make and hold room; return the file to fill, and the directory."""
        super().reserve(owner, name, nbytes, overwrite)
        try:
            return [self._directory.create(owner), os.dup(self._directory.fd)]
        except Exception:
            self.unreserve(owner)
            raise

    def unreserve(self, owner: object) -> None:
        """Give up what a client reserved, and the file that it was filling."""
        super().unreserve(owner)
        self._directory.discard(owner)

    def save(self, message: Save, fds: list[int], owner: object) -> tuple[Entry, Entry | None]:
        """Give the file that the client filled its name, and publish what is in it.

        It comes last. If the bytes are another file's, that comes first, as in any store.
        """
        if message.mutable:
            raise InvalidArgument(
                "a store in a directory keeps what it was given: save mutable entries in a store "
                "in memory, or save again with overwrite=True"
            )
        file = fds[-1]
        _check_file(message, fds[0], self._directory.check(owner, file))
        self._saving = (owner, file, message.overwrite)
        entry, old = super().save(message, fds[:-1] if message.apart else fds, owner)
        if message.apart:
            os.close(file)
            return entry, old
        try:
            # A description that can only read, and that no client shares.
            entry.holding.open_anew()
        except OSError:
            pass  # At the limit on open files: it is tried again when somebody asks for users.
        return entry, old

    def _resident(self, message: Save, status: os.stat_result) -> int:
        return 0 if message.apart else _on_disk(status)

    def _publish(self, entry: Entry, old: Entry | None, record: Record) -> None:
        owner, fd, overwrite = self._saving
        self._directory.publish(owner, fd, record.key, overwrite=overwrite)
        super()._publish(entry, old, record)

    def _unpublish(self, entry: Entry) -> None:
        self._directory.remove(entry.name)
        super()._unpublish(entry)


def _on_disk(status: os.stat_result) -> int:
    return max(region.PAGE, status.st_blocks * 512)


def _open_segment(found: FoundFile) -> tuple[int, os.stat_result, bytes, int]:
    """Return the segment of a file's entry, its status, its spec if that is short, or a memfd.

    The segment is the file itself, or the one that it refers to; then the file is closed.
    """
    facts = found.trailer
    short = facts.spec_nbytes <= spec_room(facts.name)
    if not facts.origin:
        # A long spec is read by whoever loads it: it is in the segment.
        before = found.before if short else b""
        return found.fd, found.status, before[len(before) - facts.spec_nbytes :], 0
    segment = trailer.open_origin(facts)
    spec = trailer.spec_of(found.fd, found.status.st_size, facts, found.before)
    os.close(found.fd)
    return segment, os.fstat(segment), spec if short else b"", 0 if short else _memfd(spec)


def _memfd(spec: bytes) -> int:
    fd = region.create("onecopy-spec")
    region.write(fd, [spec])
    region.seal(fd)
    return fd


def _check_file(message: Save, segment: int, found: FoundFile) -> None:
    """Check that a restart would find in the file what the message says now."""
    facts = found.trailer
    flags = trailer.flags(pinned=message.pin, apart=message.apart, parts=message.parts)
    said = (message.name.encode(), *_offsets(message), message.ttl, flags)
    origin = (0, 0)
    if message.apart:
        origin = (message.size, os.fstat(segment).st_mtime_ns)
    kept = (facts.name, *_offsets(facts), facts.ttl, facts.flags)
    if (said, origin) != (kept, (facts.origin_size, facts.origin_modified)):
        raise InvalidArgument("the file's trailer says something else than the message")
    if message.kind != region.FILE:
        raise InvalidArgument("a store in a directory keeps files; say that it is one")


def _offsets(of: Save | Trailer) -> tuple[int, int, int, int]:
    return of.data_start, of.spec_offset, of.spec_nbytes, of.nbytes


def _record(
    facts: Trailer, key: bytes, status: os.stat_result, entry: Entry, digest: int, spec: bytes
) -> Record:
    apart, parts = bool(facts.flags & trailer.APART), bool(facts.flags & trailer.PARTS)
    return Record(
        digest,
        status.st_dev,
        status.st_ino,
        entry.holding.fd,
        APART * apart | PARTS * parts,
        status.st_size,
        facts.data_start,
        facts.spec_offset,
        facts.spec_nbytes,
        facts.nbytes,
        facts.created,
        status.st_mtime_ns,
        entry.spec_fd,
        key,
        spec,
    )
