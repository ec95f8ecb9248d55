"""Work beside the event loop: of models that mostly wait, such as those behind an endpoint."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from onecopy.store.daemon.loop import Loop

T = TypeVar("T")

THREADS: Final = 32


class Aside:
    """Threads that do work, and tell the loop when it is done."""

    def __init__(self, loop: Loop) -> None:
        self._threads = ThreadPoolExecutor(THREADS, "texts")
        self._done: deque[Callable[[], object]] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        loop.add(self._wake, self._finish)

    def run(self, work: Callable[[], T]) -> Future[T]:
        """Do something in a thread."""
        return self._threads.submit(work)

    def when_done(self, future: Future[Any], call: Callable[[], object]) -> None:
        """Call back in the loop's thread."""

        def tell(_: Future[Any]) -> None:
            self._done.append(call)
            os.eventfd_write(self._wake, 1)

        future.add_done_callback(tell)

    def _finish(self, _: int) -> None:
        os.eventfd_read(self._wake)
        while self._done:
            self._done.popleft()()
