"""Starting the process of a guest, and what its host keeps of it."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import WorkerLost
from onecopy.guests.workers.spawn import environment
from onecopy.nn.guest import messages
from onecopy.nn.guest.messages import Ready
from onecopy.nn.guest.runner import Config
from onecopy.store import wire

if TYPE_CHECKING:
    from onecopy.nn.guest.messages import Start

PATIENCE: Final = 60.0
"""Seconds in which a process gets ready."""
_END_SECONDS: Final = 1.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class GuestProcess:
    """One process, from its start to its end; the kernel ends it when its starting thread ends.

    Raises:
        OSError: there are not enough descriptors, processes or memory.
    """

    def __init__(self) -> None:
        with ExitStack() as ours, ExitStack() as theirs:
            pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2)]
            for one, other in pairs:
                ours.callback(one.close)
                theirs.callback(other.close)
            self.control, self._models = (one for one, _ in pairs)
            config = Config(pairs[0][1].fileno(), pairs[1][1].fileno(), os.getpid())
            self._process = _start(config)
            ours.callback(self._process.wait)
            ours.callback(self._process.kill)
            self.pidfd = os.pidfd_open(self._process.pid)
            ours.callback(os.close, self.pidfd)
            self._statm = _open_statm(self._process.pid)
            ours.pop_all()
        self.pid = self._process.pid
        self._closed = False

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
            raise WorkerLost(
                "the process for a guest did not start; its messages are on the standard error"
            )

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
        """Return the bytes of memory that it has in use, its segments too; 0 when it has ended."""
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
        select.select([self.pidfd], [], [], _END_SECONDS)
        self.kill()
        return self._process.wait()

    def close(self) -> None:
        """End it, and close what is open; twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        self._process.wait()
        self.control.close()
        self._models.close()
        for fd in (self.pidfd, self._statm):
            os.close(fd)


def _start(config: Config) -> subprocess.Popen[bytes]:
    text = msgspec.json.encode(config).decode()
    return subprocess.Popen(
        # -S: the site module would look at every installed package; the path is handed over whole.
        [sys.executable, "-S", "-s", "-B", "-m", "onecopy.nn.guest.runner", text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(config.control, config.models),
        start_new_session=True,
        cwd="/",
        env=environment(),
    )


def _open_statm(pid: int) -> int:
    return os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
