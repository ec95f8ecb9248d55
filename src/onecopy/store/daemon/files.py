"""The catalog of a store whose entries are files in a directory.

Beside what every catalog does, each entry has a file under its name, which is there before the
index says so and gone before the index forgets it. So what a crash leaves behind is a store.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidArgument
from onecopy.segments import region, trailer
from onecopy.store import index
from onecopy.store.daemon import log
from onecopy.store.daemon.books import Entry
from onecopy.store.daemon.catalog import Catalog
from onecopy.store.index import Record
from onecopy.store.names import check_name

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
        facts = found.trailer
        key = check_name(facts.name.decode())
        self._check_descriptor(found.fd)
        self._prepare_slot()
        holding = self.books.holding(found.status, found.fd, shared=False, file=True)
        holding.opened = True
        entry = Entry(key.decode(), holding, _on_disk(found.status), facts.nbytes)
        entry.pinned, entry.ttl = bool(facts.flags & trailer.PINNED), facts.ttl
        entry.last_used = max(0, facts.created - epoch)
        super()._publish(entry, None, _record(found, key, self.index.hash(key)))
        self.touches.clear(entry.slot)
        self.books.hold(entry)
        return entry

    # ---- saving ----

    def reserve(self, owner: object, name: str, nbytes: int, overwrite: bool) -> list[int]:
        """Make and hold room; return the file to fill, and the directory."""
        super().reserve(owner, name, nbytes, overwrite)
        return [self._directory.create(owner), os.dup(self._directory.fd)]

    def unreserve(self, owner: object) -> None:
        """Give up what a client reserved, and the file that it was filling."""
        super().unreserve(owner)
        self._directory.discard(owner)

    def save(self, message: Save, fds: list[int], owner: object) -> tuple[Entry, Entry | None]:
        """Give the file that the client filled its name, and publish it."""
        if message.mutable:
            raise InvalidArgument(
                "a store in a directory keeps what it was given: save mutable entries in a store "
                "in memory, or save again with overwrite=True"
            )
        _check_file(message, self._directory.check(owner, fds[-1]))
        self._saving = (owner, fds[-1], message.overwrite)
        entry, old = super().save(message, fds, owner)
        # A description that can only read, and that no client shares.
        entry.holding.open_anew()
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


def _check_file(message: Save, found: FoundFile) -> None:
    """Check that a restart would find in the file what the message says now."""
    facts = found.trailer
    said = (message.name.encode(), *_offsets(message), message.ttl, _flags(message))
    if said != (facts.name, *_offsets(facts), facts.ttl, facts.flags) or facts.origin:
        raise InvalidArgument("the file's trailer says something else than the message")


def _offsets(of: Save | Trailer) -> tuple[int, int, int, int]:
    return of.data_start, of.spec_offset, of.spec_nbytes, of.nbytes


def _flags(message: Save) -> int:
    return trailer.PINNED * message.pin | trailer.PARTS * message.parts


def _record(found: FoundFile, key: bytes, digest: int) -> Record:
    facts, status = found.trailer, found.status
    short = facts.spec_nbytes <= min(index.spec_room(key), len(found.before))
    return Record(
        digest,
        status.st_dev,
        status.st_ino,
        found.fd,
        index.PARTS * bool(facts.flags & trailer.PARTS),
        status.st_size,
        facts.data_start,
        facts.spec_offset,
        facts.spec_nbytes,
        facts.nbytes,
        facts.created,
        status.st_mtime_ns,
        0,
        key,
        found.before[len(found.before) - facts.spec_nbytes :] if short else b"",
    )
