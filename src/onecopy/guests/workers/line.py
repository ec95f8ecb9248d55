"""The engine's end of the socket to one worker: requests that take turns, and their answers."""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING, Final

from onecopy.guests.workers import messages
from onecopy.guests.workers.spawn import SLICE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from onecopy.errors import WorkerLost
    from onecopy.guests.workers.spill import Spill

PATIENCE: Final = 60.0
"""Seconds that a request may take for which nothing else was said."""
_ROOM: Final = 1 << 18
_GONE: Final = {errno.EPIPE, errno.ECONNRESET, errno.EBADF, errno.ENOTCONN}


class Line:
    """Usable from several threads, as soon as `welcome` has returned; until then requests wait.

    Every wait ends: what does not answer in time is killed (`kill` is told why), and the end of the
    socket is the error that `lost` returns.
    """

    def __init__(
        self,
        sock: socket.socket,
        long: Spill,
        kill: Callable[[str], object],
        lost: Callable[[], WorkerLost],
    ) -> None:
        self._sock = sock
        self._long = long
        self._kill, self._lost = kill, lost
        self._turn = threading.Lock()
        self._turn.acquire()
        self._open = False
        self._number = 0
        self._buffer = memoryview(bytearray(_ROOM))

    def fileno(self) -> int:
        """Return the socket's descriptor; readable before `welcome` if that will not wait."""
        return self._sock.fileno()

    def welcome(self) -> bytes:
        """Return what a worker sends first, and let requests go; by one thread, once."""
        first = self._await(0, PATIENCE)
        self._release()
        return first

    def _release(self) -> None:
        if not self._open:
            self._open = True
            self._turn.release()

    def exchange(self, data: bytes, fds: tuple[int, ...], seconds: float) -> bytes:
        """Send a request, and return its answer."""
        with self._turn:
            return self._await(self._send(data, fds), seconds)

    def send(self, data: bytes, fds: tuple[int, ...]) -> None:
        """Send what gets no answer."""
        with self._turn:
            self._send(data, fds)

    def _send(self, data: bytes, fds: tuple[int, ...]) -> int:
        self._number = number = self._number % 0xFFFFFFFF + 1
        end = time.monotonic() + PATIENCE
        while True:
            try:
                messages.send(self._sock, messages.number(number), data, fds)
                return number
            except BlockingIOError:
                if time.monotonic() > end:
                    self._kill("it took no messages")
            except OSError as error:
                if error.errno in _GONE:
                    raise self._lost() from None
                raise

    def _await(self, number: int, seconds: float) -> bytes:
        end = 0.0
        while True:
            head, answer = self._receive()
            if head == number:
                return self._long.take(answer)
            # Nothing yet; or the answer to a request whose caller was interrupted and has left.
            now = time.monotonic()
            end = end or now + seconds - SLICE
            if now > end:
                self._kill(f"it did not answer within {seconds:g} s")

    def _receive(self) -> tuple[int, bytes]:
        """Return the next answer and its number; -1 if none has come for a while."""
        try:
            count = self._sock.recv_into(self._buffer)
        except BlockingIOError:
            return -1, b""
        except ConnectionError:
            raise self._lost() from None
        if not count:
            raise self._lost()
        head = int.from_bytes(self._buffer[: messages.NUMBER_NBYTES], "little")
        return head, bytes(self._buffer[messages.NUMBER_NBYTES : count])

    def retire(self, close: Callable[[], object]) -> None:
        """Close the socket (and what belongs to it) when nobody uses it any more.

        The worker has ended, and `lost` does not wait: so whoever uses it is about to leave.
        """
        self._release()
        with self._turn:
            close()

    def forsake(self) -> None:
        """Be usable in a forked child, in which no other thread gives its turn back."""
        self._turn = threading.Lock()
        self._open = True
