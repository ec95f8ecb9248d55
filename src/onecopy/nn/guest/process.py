"""Forking the process of a guest, and what its host keeps of it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import WorkerLost
from onecopy.nn.guest import messages
from onecopy.nn.guest.forkserver import ends_within
from onecopy.nn.guest.messages import Exited, Forked, NotForked, Ready
from onecopy.store import wire

if TYPE_CHECKING:
    from onecopy.nn.guest.forkserver import ForkServer
    from onecopy.nn.guest.messages import Module, Start

PATIENCE: Final = 60.0
"""Seconds in which a process gets ready."""
_END_SECONDS: Final = 1.0
_NOT_STARTED: Final = (
    "the process for a guest did not start; its messages are on the standard error"
)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class GuestProcess:
    """One process, from its start to its end; it ends with the server from which it is forked.

    Raises:
        WorkerLost: the server has ended.
        OSError: there are not enough descriptors, processes or memory.
    """

    def __init__(self, server: ForkServer) -> None:
        with ExitStack() as ours, ExitStack() as theirs:
            pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(3)]
            for one, other in pairs:
                ours.callback(one.close)
                theirs.callback(other.close)
            self.control, self._models, self._status = (one for one, _ in pairs)
            self._status.settimeout(PATIENCE)
            _ask(server, *(other.fileno() for _, other in pairs))
            theirs.close()  # Or their end would never be seen.
            self.pid, self.pidfd, self._statm = _forked(self._status)
            ours.pop_all()
        self._ended: int | None = None
        self._closed = False

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended yet."""
        return not ends_within(self.pidfd, 0)

    def await_ready(self) -> None:
        """Return once it waits for a guest.

        Raises:
            WorkerLost: it ended, or hangs.
        """
        self.control.settimeout(PATIENCE)
        try:
            message = self.receive()
        except TimeoutError:
            message = None
        self.control.settimeout(None)
        if not isinstance(message, Ready):
            raise WorkerLost(_NOT_STARTED)

    def prepare(self, module: Module, native: int) -> None:
        """Have it get a module ready, which will probably be run; the descriptor is the caller's.

        Raises:
            ConnectionError: it has ended.
        """
        wire.send(self.control, messages.encode(module), (native,))

    def start(self, message: Start, fds: tuple[int, ...]) -> None:
        """Have it run a guest; the descriptors stay the caller's."""
        wire.send(self.control, messages.encode(message), fds)

    def receive(self) -> Any:
        """Return what it says next; None at its end.

        Raises:
            ProtocolError: it is no message.
        """
        try:
            data, fds = wire.receive(self.control)
        except ConnectionError:
            return None
        wire.close_all(fds)
        return messages.decode(data) if data else None

    def give_models(self) -> socket.socket:
        """Return the socket by which it asks for models; it is the caller's now."""
        return socket.socket(fileno=self._models.detach())

    def memory(self) -> int:
        """Return the bytes of memory that it has in use, its segments too; 0 when it has ended.

        What it shares with others of its kind counts as if it were its own: it is as much for each.
        """
        try:
            return int(os.pread(self._statm, 128, 0).split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    def kill(self) -> None:
        """End it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def wait(self) -> int:
        """Return how it ended, as `subprocess` says that, if need be after killing it."""
        ends_within(self.pidfd, _END_SECONDS)
        self.kill()
        if self._ended is None:
            self._ended = _exited(self._status)
        return self._ended

    def close(self) -> None:
        """End it, and close what is open; twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        ends_within(self.pidfd)
        for each in (self.control, self._models, self._status):
            each.close()
        for fd in (self.pidfd, self._statm):
            os.close(fd)


def _ask(server: ForkServer, control: int, models: int, status: int) -> None:
    try:
        server.fork(control, models, status)
    except ConnectionError:
        raise WorkerLost(_NOT_STARTED) from None


def _forked(status: socket.socket) -> tuple[int, int, int]:
    """Return the pid, the pidfd and the open statm of a process."""
    try:
        data, fds = wire.receive(status)
    except (ConnectionError, TimeoutError):
        raise WorkerLost(_NOT_STARTED) from None
    message = messages.decode_server(data) if data else None
    if isinstance(message, Forked):
        pidfd, statm = fds
        return message.pid, pidfd, statm
    wire.close_all(fds)
    if isinstance(message, NotForked):
        raise OSError(message.errno, os.strerror(message.errno))
    raise WorkerLost(_NOT_STARTED)


def _exited(status: socket.socket) -> int:
    try:
        data, _ = wire.receive(status)
    except (ConnectionError, TimeoutError):
        data = b""
    message = messages.decode_server(data) if data else None
    # If the server was killed, the kernel has killed the process.
    return message.status if isinstance(message, Exited) else -signal.SIGKILL
