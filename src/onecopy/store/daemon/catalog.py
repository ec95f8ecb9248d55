"""Names to entries: what is saved, removed, evicted, and what the index says about it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from onecopy.errors import EntryExists, EntryNotFound, InvalidArgument, LimitReached
from onecopy.segments import region
from onecopy.store.daemon.books import Books, Entry
from onecopy.store.daemon.saves import check_fields, check_spec, record_of
from onecopy.store.daemon.touches import Touches
from onecopy.store.index.slot import Record
from onecopy.store.index.writer import IndexWriter
from onecopy.store.messages import SPEC, WRITE, EntryStat, Save
from onecopy.store.names import check_name

if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_SLOTS: Final = 1024


class Catalog:
    """All entries. `notify(kind, name)` hears of every change, after it happened."""

    def __init__(
        self, capacity: int, fd_limit: int, notify: Callable[[str, str], None], *, group: bool
    ) -> None:
        self._entries: dict[str, Entry] = {}
        self._free: list[int] = []
        self._fd_limit = fd_limit
        self._notify = notify
        self._group = group
        self.index = IndexWriter(_FIRST_SLOTS)
        self.touches = Touches(_FIRST_SLOTS)
        self.books = Books(capacity, self.touched)
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def touched(self, entry: Entry) -> int:
        """Return when an entry was last loaded, in CLOCK_MONOTONIC ns; clients say so."""
        return self.touches.last_used(entry.slot) if entry.present else 0

    def reopen(self) -> list[Entry]:
        """Publish what an earlier daemon left, and return it: nothing, if entries are memory."""
        return []

    # ---- saving ----

    def reserve(self, owner: object, name: str, nbytes: int, overwrite: bool) -> list[int]:
        """Make and hold room for a save to come; refuse it before anything is written.

        Returns descriptors to send along, which the caller closes: none, if entries are memory.
        """
        check_name(name)
        if nbytes < 0:
            raise InvalidArgument(f"a segment cannot have {nbytes} bytes")
        self.books.unreserve(owner)
        old = self._replaceable(name, overwrite)
        self._make_room(nbytes, old)
        self.books.reserve(owner, nbytes)
        return []

    def unreserve(self, owner: object) -> None:
        """Give up what a client reserved."""
        self.books.unreserve(owner)

    def save(self, message: Save, fds: list[int], owner: object) -> tuple[Entry, Entry | None]:
        """Publish a segment and keep it; `fds` are it and, if need be, its spec.

        Returns the entry and the one whose place it took, if any: `settle` them next, before
        anything else is asked of the catalog. On any error the descriptors stay the caller's, and
        nothing has changed.
        """
        if message.reserved:
            self.books.unreserve(owner)
        key = check_name(message.name)
        check_fields(message, key)
        old = self._replaceable(message.name, message.overwrite)
        status = region.check(fds[0], message.size, mutable=message.mutable, kind=message.kind)
        file = message.kind == region.FILE
        shared = message.kind != region.SEALED
        holding = self.books.holding(status, fds[0], shared=shared, file=file)
        spec_fd = check_spec(message, fds)
        resident = self._resident(message, status)
        # What can fail comes first: at the limit on descriptors nothing is evicted in vain.
        self._check_descriptor(max(fds))
        if old is None:
            self._prepare_slot()
        if self._group and not file:
            for fd in fds:
                os.fchmod(fd, 0o644)
        self._make_room(resident, old)
        entry = Entry(message.name, holding, resident, message.nbytes)
        entry.pinned, entry.ttl, entry.spec_fd = message.pin, message.ttl, spec_fd
        self._publish(entry, old, record_of(message, key, status, entry, self.index.hash(key)))
        if holding.fd != fds[0]:
            os.close(fds[0])  # The segment is held already, by another entry in it.
        return entry, old

    def settle(self, entry: Entry, old: Entry | None) -> None:
        """Do what the saver need not wait for: count the entry, and tell others of it."""
        if old is not None:
            self.books.drop(old)
        self.books.hold(entry)
        self._notify("saved", entry.name)

    def _resident(self, message: Save, status: os.stat_result) -> int:
        """Return how much of the capacity an entry takes, in bytes."""
        if message.kind == region.FILE:
            return 0  # The kernel drops a file's pages when it needs the memory.
        if message.kind == region.ARENA:
            return -(-message.nbytes // region.PAGE) * region.PAGE
        return region.resident(status, mutable=message.mutable)

    def _replaceable(self, name: str, overwrite: bool) -> Entry | None:
        old = self._entries.get(name)
        if old is not None and not overwrite:
            raise EntryExists(
                f"{name!r} exists already; remove it first, or save with overwrite=True"
            )
        return old

    def _make_room(self, nbytes: int, keep: Entry | None) -> None:
        for victim in self.books.victims(nbytes, keep):
            self.evicted += 1
            self._forget(victim, "evicted")

    def _check_descriptor(self, fd: int) -> None:
        if fd >= self._fd_limit:
            raise LimitReached(
                f"the store holds {len(self)} entries and has no file descriptor left for more; "
                "remove entries, save several tensors as one entry (a dict), or start the store "
                "with a higher `ulimit -n`"
            )

    def _publish(self, entry: Entry, old: Entry | None, record: Record) -> None:
        entry.digest = record.hash
        if old is not None:
            entry.slot = old.slot
            self.touches.reset(entry.slot)
            self.index.update(entry.slot, record)
        else:
            entry.slot = self._free.pop() if self._free else len(self._entries)
            self.touches.reset(entry.slot)
            self.index.insert(entry.slot, record)
        self._entries[entry.name] = entry

    def _prepare_slot(self) -> None:
        """Make sure that the index has room for one more."""
        if self.index.crowded or (not self._free and len(self._entries) >= self.index.slots):
            self._grow()

    def _grow(self) -> None:
        # When only tombstones crowd it, the same size will do.
        full = len(self._entries) * 2 > self.index.slots
        slots = self.index.slots * 4 if full else self.index.slots
        self.touches = self.touches.moved_to(slots)
        self.index = self.index.moved_to(slots)

    # ---- removing ----

    def remove(self, names: list[str]) -> list[Entry]:
        """Remove all of `names`, or none if one does not exist; `let_go` of what it returns."""
        missing = [name for name in names if name not in self._entries]
        if missing:
            raise EntryNotFound(f"no entry {missing[0]!r} to remove; store.names() lists them")
        entries: list[Entry] = []
        try:
            for name in dict.fromkeys(names):
                self._unpublish(self._entries[name])
                entries.append(self._entries.pop(name))
        except OSError:
            for entry in entries:
                self.let_go(entry, "removed")
            raise
        return entries

    def let_go(self, entry: Entry, kind: str) -> None:
        """Do what the remover need not wait for: free the memory, and tell others."""
        self.books.drop(entry)
        self._notify(kind, entry.name)

    def expire(self, entry: Entry) -> None:
        """Remove an entry whose ttl ran out."""
        self._forget(entry, "expired")

    def _forget(self, entry: Entry, kind: str) -> None:
        self._unpublish(entry)
        del self._entries[entry.name]
        self.let_go(entry, kind)

    def _unpublish(self, entry: Entry) -> None:
        self.index.remove(entry.slot, entry.digest)
        self._free.append(entry.slot)

    # ---- asking ----

    def open(self, slot: int, generation: int, what: int) -> int | None:
        """Open the segment that a slot named, or its spec, for a client that cannot.

        None if it is gone, or may not be written to.
        """
        if not 0 <= slot < self.index.slots or self.index.generation(slot) != generation:
            return None
        record = self.index.record(slot)
        if not record.key or (what == WRITE and not record.mutable):
            return None
        if what == SPEC:
            return region.reopen(record.spec_fd) if record.spec_fd else None
        return region.reopen(record.fd, os.O_RDWR if what == WRITE else os.O_RDONLY)

    def stat(self, name: str) -> EntryStat | None:
        """Return facts about an entry, or None."""
        entry = self._entries.get(name)
        if entry is None:
            return None
        record = self.index.record(entry.slot)
        age = time.monotonic_ns() - max(entry.last_used, self.touched(entry))
        return EntryStat(
            name=name,
            nbytes=entry.nbytes,
            resident=entry.resident,
            in_use=entry.in_use,
            hits=self.touches.hits(entry.slot),
            mutable=record.mutable,
            pinned=entry.pinned,
            ttl=entry.ttl,
            created=record.created / 1e9,
            last_used=time.time() - age / 1e9,
        )

    def any_in_use(self) -> bool:
        """Say whether any entry, or what is left of one, has a user."""
        return self.books.sweep() or any(entry.in_use for entry in self._entries.values())
