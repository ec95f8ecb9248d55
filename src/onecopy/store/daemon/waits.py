"""Who waits for names to appear, and who watches what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class Waits:
    """Waiters, each for a set of names; a waiter is whatever object the caller says it is."""

    def __init__(self) -> None:
        self._missing: dict[object, set[str]] = {}
        self._waiters: dict[str, list[object]] = {}
        self._ready: dict[object, Callable[[], None]] = {}

    def wait(self, waiter: object, names: Iterable[str], ready: Callable[[], None]) -> None:
        """Call `ready()` once all of `names` have been saved."""
        self._missing[waiter] = set(names)
        self._ready[waiter] = ready
        for name in self._missing[waiter]:
            self._waiters.setdefault(name, []).append(waiter)

    def saved(self, name: str) -> None:
        """Tell those who waited for `name`."""
        for waiter in self._waiters.pop(name, ()):
            self._missing[waiter].discard(name)
            if not self._missing[waiter]:
                del self._missing[waiter]
                self._ready.pop(waiter)()

    def cancel(self, waiter: object) -> None:
        """Forget a waiter, if it waits."""
        self._ready.pop(waiter, None)
        for name in self._missing.pop(waiter, ()):
            self._waiters[name].remove(waiter)
            if not self._waiters[name]:
                del self._waiters[name]
