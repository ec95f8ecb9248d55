"""An event loop: epoll and timers, no more.

asyncio would cost as much start-up time and memory as all the rest of the daemon.
"""

from __future__ import annotations

import heapq
import itertools
import select
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

# epoll counts in milliseconds, in an int: it refuses to sleep for 25 days.
_LONGEST_SLEEP: Final = 86400.0

READ: Final = select.EPOLLIN
WRITE: Final = select.EPOLLOUT


class Loop:
    """Calls back when descriptors are ready and when times come, until stopped."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._sequence = itertools.count()
        self._running = True

    def add(self, fd: int, callback: Callable[[int], None], events: int = READ) -> None:
        """Call `callback(events)` whenever `fd` is ready."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def modify(self, fd: int, events: int) -> None:
        """Change what to wait for."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forget `fd`; call it before closing it."""
        del self._callbacks[fd]
        self._epoll.unregister(fd)

    def after(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call `callback` once, in `seconds`."""
        when = time.monotonic() + seconds
        heapq.heappush(self._timers, (when, next(self._sequence), callback))

    def stop_on(self, *signals: int) -> None:
        """Stop when one of `signals` arrives."""
        reader, writer = socket.socketpair()
        for each in (reader, writer):
            each.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, lambda *_: self.stop())
        self._wakeup = (reader, writer)
        self.add(reader.fileno(), lambda _: _drain(reader))

    def stop(self) -> None:
        """Return from `run` after the current round, or at once if it has not begun."""
        self._running = False

    def run(self) -> None:
        """Serve until stopped."""
        while self._running:
            self._round()

    def _round(self) -> None:
        polled = self._epoll.poll(self._sleep())
        for fd, events, callback in [(fd, seen, self._callbacks.get(fd)) for fd, seen in polled]:
            # An earlier callback of this round may have removed it, and its number be another's.
            if callback is not None and self._callbacks.get(fd) is callback:
                callback(events)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()

    def _sleep(self) -> float | None:
        """Return how long to sleep at most; None is for ever."""
        if not self._timers:
            return None
        return min(max(0.0, self._timers[0][0] - time.monotonic()), _LONGEST_SLEEP)


def _drain(reader: socket.socket) -> None:
    try:
        while reader.recv(4096):
            pass
    except BlockingIOError:
        pass
