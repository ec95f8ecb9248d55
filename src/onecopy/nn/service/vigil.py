"""A watch over computations: one that nobody waits for any more shall not go on for ever.

The loop that notices connections which end is the thread that computes, and a model that a guest
brought may compute without end. So a second thread looks, as long as a computation lasts; the
libraries compute without Python's lock. There is no way to stop them but to end the process,
which the next user has started again.
"""

from __future__ import annotations

import logging
import os
import select
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

log = logging.getLogger("onecopy.nn")

SECONDS: Final = 10.0
"""How long a computation may go on for nobody, at least."""
_GONE: Final = select.POLLHUP | select.POLLERR | select.POLLNVAL


class Vigil:
    """Watches over what is done in its `with` blocks, of one thread.

    Args:
        waiting: returns the descriptors of those who may be waiting; called by another thread. With
            none, nothing may last for twice `seconds`.
        seconds: between two looks at them.
    """

    def __init__(self, waiting: Callable[[], Iterable[int]], seconds: float = SECONDS) -> None:
        self._waiting = waiting
        self._seconds = seconds
        self._began = 0
        self._ended = 0
        self._thread: threading.Thread | None = None
        self.looks = 0
        """How often it has looked."""

    def __enter__(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="vigil", daemon=True)
            self._thread.start()
        self._began += 1

    def __exit__(self, *_: object) -> None:
        self._ended += 1

    def _watch(self) -> None:
        # It wakes seldom, and is not woken: that would cost each computation tens of microseconds.
        pause, seen = threading.Event(), -1
        while not pause.wait(self._seconds):
            number = self._began if self._began > self._ended else -1
            if number == seen != -1:
                self._look()
            seen = number

    def _look(self) -> None:
        if not any_open(self._waiting()):
            log.error("nobody waits for what this process does: it ends")
            os._exit(1)
        self.looks += 1


def any_open(fds: Iterable[int]) -> bool:
    """Return whether the other side of any of these connections is still there."""
    poll = select.poll()
    watched = 0
    for fd in fds:
        poll.register(fd, 0)
        watched += 1
    return watched > sum(1 for _, events in poll.poll(0) if events & _GONE)
