"""ttl: an entry goes so many seconds after its last user left.

The kernel tells whether somebody uses an entry now, not when the last user left. So an entry
in use is looked at again and again, and its time starts at the first look that finds it free:
never too early, and late by at most a tenth of the ttl (at most five seconds).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from onecopy.store.daemon.agenda import Agenda

if TYPE_CHECKING:
    from onecopy.store.daemon.books import Entry
    from onecopy.store.daemon.catalog import Catalog
    from onecopy.store.daemon.loop import Loop

_SHORTEST_LOOK: Final = 0.02
_LONGEST_LOOK: Final = 5.0


class Expiry:
    """Looks after the entries that have a ttl."""

    def __init__(self, catalog: Catalog, loop: Loop) -> None:
        self._catalog = catalog
        self._loop = loop
        self._agenda = Agenda()
        self._waking = float("inf")
        self.expired = 0

    def watch(self, entry: Entry) -> None:
        """Start the clock of a new entry, if it has a ttl."""
        if entry.ttl is not None:
            self._look_in(entry, entry.ttl, time.monotonic_ns())

    def _look_in(self, entry: Entry, seconds: float, free_since: int | None) -> None:
        self._agenda.push(time.monotonic() + seconds, entry, free_since)
        self._wake_in_time()

    def _wake_in_time(self) -> None:
        # One timer, not one for each entry: entries are overwritten, and timers cannot be undone.
        due = self._agenda.soonest
        if due is not None and due < self._waking:
            self._waking = due
            self._loop.after(max(0.0, due - time.monotonic()), lambda: self._wake(due))

    def _wake(self, due: float) -> None:
        if due != self._waking:
            return  # Another timer was set for an earlier time, and has looked after the rest.
        self._waking = float("inf")
        now = time.monotonic()
        while (item := self._agenda.pop(now)) is not None:
            _, entry, free_since = item
            self._look(entry, free_since)
        self._wake_in_time()

    def _look(self, entry: Entry, free_since: int | None) -> None:
        """Look whether the time has come; `free_since` is None if it was in use last time."""
        ttl = entry.ttl or 0.0
        now = time.monotonic_ns()
        if entry.in_use:
            self._look_in(entry, min(max(ttl / 10, _SHORTEST_LOOK), _LONGEST_LOOK), None)
        elif free_since is None or self._catalog.touched(entry) > free_since:
            self._look_in(entry, ttl, now)
        elif now - free_since >= ttl * 1e9:
            self.expired += 1
            self._catalog.expire(entry)
        else:
            self._look_in(entry, ttl - (now - free_since) / 1e9, free_since)
