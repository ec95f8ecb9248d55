"""One guest that runs: its process is listened to, its time and memory looked at."""

from __future__ import annotations

import logging
import select
import signal
import time
from typing import TYPE_CHECKING, Final

from onecopy.errors import GuestMemoryExceeded, GuestTimeout, WorkerLost
from onecopy.nn.guest.messages import Ended, Said

if TYPE_CHECKING:
    from onecopy.nn.guest.process import GuestProcess

log = logging.getLogger("onecopy.nn")

ROOM: Final = 1 << 30
"""What a process may have beside the guest's own memory: Python, and segments of tensors."""
_TURN_MS: Final = 50


class Watched:
    """Sees to a guest until it has ended."""

    def __init__(self, process: GuestProcess, timeout: float | None, memory_limit: int) -> None:
        self._process = process
        self._timeout = timeout
        self._end = None if timeout is None else time.monotonic() + timeout
        self._limit = memory_limit + ROOM
        self._poll = select.poll()
        self._poll.register(process.control, select.POLLIN)

    def turn(self) -> Ended | None:
        """Wait a moment, and see to what has happened; return what the guest ended with.

        Raises:
            GuestTimeout, GuestMemoryExceeded, WorkerLost: it was ended, or its process ended.
        """
        ready = self._poll.poll(self._patience())
        self._check()
        return self._hear() if ready else None

    def _patience(self) -> float:
        if self._end is None:
            return _TURN_MS
        return max(0.0, min(_TURN_MS, (self._end - time.monotonic()) * 1000))

    def _check(self) -> None:
        if self._end is not None and time.monotonic() >= self._end:
            self._process.kill()
            raise GuestTimeout(f"the guest did not end within {self._timeout:g} s; raise timeout")
        if self._process.memory() > self._limit:
            self._process.kill()
            raise GuestMemoryExceeded(
                f"the guest's process used more than {self._limit} bytes, of which {ROOM} are for "
                "its tensors; raise memory_limit, or unload graphs and contexts"
            )

    def _hear(self) -> Ended | None:
        message = self._process.receive()
        if isinstance(message, Said):
            log.log(logging.WARNING if message.warning else logging.INFO, "%s", message.text)
            return None
        if isinstance(message, Ended):
            return message
        raise _lost(self._process)


def _lost(process: GuestProcess) -> WorkerLost:
    status = process.wait()
    how = signal.Signals(-status).name if status < 0 else f"status {status}"
    return WorkerLost(f"the guest's process was ended ({how}) before the guest had ended")
