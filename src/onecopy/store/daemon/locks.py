"""Locks: exclusive or shared, first come first served, held by a thread of a process."""

from __future__ import annotations

import itertools
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from onecopy.errors import InvalidArgument, LockHeld

if TYPE_CHECKING:
    from collections.abc import Callable


class Holder(NamedTuple):
    """Who holds a lock: a thread. It outlives the connection that asked."""

    process: object
    thread: int


class _Request(NamedTuple):
    holder: Holder
    shared: bool
    grant: Callable[[int], None]


class _Lock:
    """One lock: its holders, by grant, and who waits."""

    def __init__(self) -> None:
        self.holders: dict[int, Holder] = {}
        self.shared = False
        self.queue: deque[_Request] = deque()

    def admits(self, shared: bool) -> bool:
        return not self.holders or (shared and self.shared)


class Locks:
    """All locks of a store. The name None is the store's own, which no other lock implies."""

    def __init__(self) -> None:
        self._locks: dict[str | None, _Lock] = {}
        self._granted: dict[int, str | None] = {}
        self._numbers = itertools.count(1)

    def acquire(
        self, name: str | None, shared: bool, holder: Holder, grant: Callable[[int], None]
    ) -> None:
        """Call `grant(number)` now, or when all who came before have let go.

        Raises `LockHeld` if the holder has the lock already: waiting for itself would be for ever.
        """
        lock = self._locks.setdefault(name, _Lock())
        waiting = (request.holder for request in lock.queue)
        if holder in lock.holders.values() or holder in waiting:
            raise LockHeld(
                f"this thread already holds {_called(name)}; locks are not re-entrant, release "
                "it first"
            )
        lock.queue.append(_Request(holder, shared, grant))
        self._advance(name, lock)

    def _advance(self, name: str | None, lock: _Lock) -> None:
        while lock.queue and lock.admits(lock.queue[0].shared):
            request = lock.queue.popleft()
            number = next(self._numbers)
            lock.holders[number] = request.holder
            lock.shared = request.shared
            self._granted[number] = name
            request.grant(number)
        if not lock.holders and not lock.queue:
            del self._locks[name]

    def release(self, number: int, process: object) -> None:
        """Give back a grant of `process`."""
        name = self._granted.get(number)
        lock = self._locks.get(name)
        if number not in self._granted or lock is None or lock.holders[number].process != process:
            raise InvalidArgument(f"lock grant {number} is not held by this process")
        del self._granted[number], lock.holders[number]
        self._advance(name, lock)

    def cancel(self, name: str | None, holder: Holder) -> None:
        """Withdraw a holder's request, if it still waits."""
        lock = self._locks.get(name)
        if lock is not None:
            lock.queue = deque(each for each in lock.queue if each.holder != holder)
            self._advance(name, lock)

    def release_all(self, process: object) -> None:
        """Give back all that a process held: it died."""
        for number, name in list(self._granted.items()):
            if self._locks[name].holders[number].process == process:
                self.release(number, process)

    def holds_any(self, process: object) -> bool:
        """Say whether a process holds any lock."""
        return any(
            self._locks[name].holders[number].process == process
            for number, name in self._granted.items()
        )


def _called(name: str | None) -> str:
    return "the store's lock" if name is None else f"the lock {name!r}"
