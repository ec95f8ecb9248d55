"""Capacity: what counts against it, and what is evicted to make room.

Memory counts as long as it exists. So a removed entry that somebody still maps *lingers*: its
descriptor is kept, and asked about, until its last reader has gone.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument, StoreFull
from onecopy.segments import lease, region
from onecopy.store.daemon.agenda import Agenda
from onecopy.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Holding:
    """A segment that the daemon holds: that of one entry or, of an arena, of several."""

    __slots__ = ("entries", "fd", "file", "key", "opened", "present")

    def __init__(self, fd: int, key: tuple[int, int], *, file: bool = False) -> None:
        self.fd = fd
        self.file = file
        """Whether it is a file, of which others may be the owner or the file system unaware of
        leases. It is then taken for unused: its space on the disk outlives its name anyway."""
        self.key = key
        """Its device and inode."""
        self.opened = False
        self.entries = 0
        """How many entries are in it, those included that were removed but are still in use."""
        self.present = 0
        """How many of them have a name."""

    @property
    def in_use(self) -> bool:
        """Whether any process has it open or mapped; asks the kernel."""
        if not self.opened:
            try:
                self.open_anew()
            except OSError:
                return True  # At the limit on open files nobody can tell: ask again later.
        return lease.in_use(self.fd, unknown=not self.file)

    def open_anew(self) -> None:
        """Put a description that was opened behind our descriptor: only such a one can ask.

        Left until the first question, because it would double the work of a small save. The
        number stays, and at no moment is it closed: readers open the segment by it.
        """
        opened = region.reopen(self.fd)
        os.dup2(opened, self.fd, inheritable=False)
        os.close(opened)
        self.opened = True


class Entry:
    """One entry, as the daemon knows it."""

    __slots__ = (
        "digest",
        "holding",
        "last_used",
        "name",
        "nbytes",
        "pinned",
        "present",
        "resident",
        "slot",
        "spec_fd",
        "ttl",
    )

    def __init__(self, name: str, holding: Holding, resident: int, nbytes: int) -> None:
        self.name = name
        self.holding = holding
        self.resident = resident
        self.nbytes = nbytes
        self.slot = -1
        self.spec_fd = 0
        """Of the memfd that holds its spec, or 0 if there is none."""
        self.digest = 0
        self.pinned = False
        self.ttl: float | None = None
        self.last_used = time.monotonic_ns()
        self.present = True
        """False once the name is gone, or names another entry."""

    @property
    def in_use(self) -> bool:
        """Whether any process has its segment open or mapped; asks the kernel."""
        return self.holding.in_use

    @property
    def lingers(self) -> bool:
        """Whether memory is still taken for it, once it has no name any more."""
        return self.resident > 0 and (self.holding.present > 0 or self.in_use)


class Books:
    """Who holds how much of the capacity."""

    def __init__(self, capacity: int, touched: Callable[[Entry], int]) -> None:
        self.capacity = capacity
        self._touched = touched
        self._held = 0
        self._lingering: list[Entry] = []
        self._reserved: dict[object, int] = {}
        self._holdings: dict[tuple[int, int], Holding] = {}
        # Entries by last use, oldest first; those with a ttl apart, for they go first. Times in
        # them may be too old: they are corrected when they come up, which is exact LRU.
        self._mortal = Agenda()
        self._lasting = Agenda()

    @property
    def used(self) -> int:
        """Bytes of all segments that exist, and of those announced."""
        return self._held + self.reserved

    @property
    def reserved(self) -> int:
        """Bytes announced by saves under way."""
        return sum(self._reserved.values()) if self._reserved else 0

    @property
    def lingering(self) -> int:
        """Bytes of removed entries that somebody still uses."""
        return sum(entry.resident for entry in self._lingering)

    def reserve(self, owner: object, nbytes: int) -> None:
        """Hold room for a save to come; a second reservation replaces the first."""
        self._reserved[owner] = nbytes

    def unreserve(self, owner: object) -> None:
        """Give up a reservation, if there is one."""
        self._reserved.pop(owner, None)

    def holding(
        self, status: os.stat_result, fd: int, *, shared: bool, file: bool = False
    ) -> Holding:
        """Return what holds a segment, by now or in future.

        Raises `InvalidArgument` if it is held already, and is not one that entries may share.
        Held twice, each of our two descriptions would make the other look like a user, for ever.
        """
        key = (status.st_dev, status.st_ino)
        holding = self._holdings.get(key)
        if holding is None:
            return Holding(fd, key, file=file)
        if not shared:
            raise InvalidArgument("this segment is, or was, another entry; save a new one")
        return holding

    def hold(self, entry: Entry) -> None:
        """Count a new entry."""
        self._held += entry.resident
        holding = entry.holding
        holding.entries += 1
        holding.present += 1
        self._holdings[holding.key] = holding
        if not entry.pinned and entry.resident:
            self._push(entry)  # To evict what takes no room would help nobody.

    def _push(self, entry: Entry) -> None:
        agenda = self._lasting if entry.ttl is None else self._mortal
        agenda.push(entry.last_used, entry)

    def drop(self, entry: Entry) -> None:
        """Let go of an entry that has been unpublished: now, or when its last user has gone."""
        entry.present = False
        entry.holding.present -= 1
        self._lingering.append(entry)
        self._release_unused([entry])

    def sweep(self) -> bool:
        """Free what nobody uses any more; say whether anything lingers on."""
        self._release_unused(self._lingering)
        return bool(self._lingering)

    def _release_unused(self, entries: Iterable[Entry]) -> None:
        for entry in [each for each in entries if not each.lingers]:
            self._lingering.remove(entry)
            self._held -= entry.resident
            if entry.spec_fd:
                os.close(entry.spec_fd)
            self._release(entry.holding)

    def _release(self, holding: Holding) -> None:
        holding.entries -= 1
        if not holding.entries:
            del self._holdings[holding.key]
            os.close(holding.fd)

    def victims(self, nbytes: int, keep: Entry | None = None) -> list[Entry]:
        """Return which entries to evict so that `nbytes` more fit.

        Nothing changes here: if no choice makes enough room, raises `StoreFull`, and all stay.
        """
        if self.used + nbytes <= self.capacity:
            return []
        self.sweep()
        missing = self.used + nbytes - self.capacity
        chosen: list[Entry] = []
        busy: list[Entry] = []
        now = time.monotonic_ns()
        while missing > 0 and (entry := self._oldest(now)):
            if entry is keep or entry.in_use:
                busy.append(entry)
            else:
                chosen.append(entry)
                missing -= entry.resident
        for entry in [*busy, *chosen]:
            self._push(entry)
        if missing > 0:
            raise self._full(nbytes, sum(entry.resident for entry in busy))
        return chosen

    def _oldest(self, now: int) -> Entry | None:
        """Take the least recently used entry off, or None if there is none.

        A load later than `now` counts as one at `now`: a client that goes on loading, or writes
        nonsense into the touches, does not keep us here.
        """
        for agenda in (self._mortal, self._lasting):
            while (item := agenda.pop()) is not None:
                last_used, entry, _ = item
                entry.last_used = max(entry.last_used, min(self._touched(entry), now))
                if last_used == entry.last_used:
                    return entry
                self._push(entry)
        return None

    def _full(self, nbytes: int, busy: int) -> StoreFull:
        if nbytes > self.capacity:
            return StoreFull(
                f"{format_size(nbytes)} can never fit a capacity of {format_size(self.capacity)}; "
                "start the store with a larger capacity"
            )
        others = self._held - busy - self.lingering
        parts = ", ".join(self._parts(busy, others))
        return StoreFull(
            f"no room for {format_size(nbytes)}: of {format_size(self.capacity)}, {parts}; drop "
            "tensors that were loaded, remove or unpin entries, or raise the store's capacity"
        )

    def _parts(self, busy: int, others: int) -> Iterator[str]:
        for nbytes, what in (
            (busy, "is in use"),
            (self.lingering, "was removed but is still in use"),
            (self.reserved, "is being saved"),
            (others, "is pinned or free to evict"),
        ):
            if nbytes > 0:
                yield f"{format_size(nbytes)} {what}"
