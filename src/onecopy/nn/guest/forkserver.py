"""The process from which the processes of guests are forked, from its host's side.

    server = ForkServer()
    server.fork(control, models, status)

It has everything imported that a guest needs. So a fork of it is ready within milliseconds, and
shares this memory with all others until one of them writes to it.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from concurrent.futures import Future
from contextlib import ExitStack, suppress

from onecopy.extras import require
from onecopy.guests.workers.spawn import environment
from onecopy.store import wire


class ForkServer:
    """One such process; the kernel ends it, and what was forked from it, with this process.

    Raises:
        PackageMissing: wasmtime is not installed.
        OSError: there are not enough descriptors, processes or memory.
    """

    def __init__(self) -> None:
        require("wasmtime")
        with ExitStack() as ours:
            self._sock, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            ours.callback(self._sock.close)
            with other:
                self._process = _start(other)
            ours.pop_all()
        self.pid = self._process.pid

    def fork(self, control: int, models: int, status: int) -> None:
        """Have it fork the process of a guest.

        Args:
            control, models: the sockets that the new process has, as in `runner.main`.
            status: the socket over which the server tells how it goes, see `messages`.

        Raises:
            ConnectionError: it has ended.
        """
        wire.send(self._sock, b"fork", (control, models, status))

    def close(self) -> None:
        """Have it end once the guests that run have ended; twice is fine."""
        # A fork of this process may have the socket, too: closing it would tell the server nothing.
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def wait(self, seconds: float) -> bool:
        """Return whether it has ended, after waiting for that for some time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None


def _start(sock: socket.socket) -> subprocess.Popen[bytes]:
    """Start it from a thread that stays: the kernel ends it when its starting thread ends."""
    started: Future[subprocess.Popen[bytes]] = Future()

    def start() -> None:
        try:
            process = _popen(sock.fileno())
            # Not `Popen.wait`, which would hold the lock that others need to wait with a limit.
            pidfd = os.pidfd_open(process.pid)
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(process)
        ends_within(pidfd)
        os.close(pidfd)
        process.wait()

    threading.Thread(target=start, name="fork server of guests", daemon=True).start()
    return started.result()


def ends_within(pidfd: int, seconds: float | None = None) -> bool:
    """Return whether a process has ended, after waiting for that for some time or for ever."""
    poll = select.poll()  # `select` takes no descriptors beyond 1023
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def _popen(fd: int) -> subprocess.Popen[bytes]:
    module = "onecopy.nn.guest.forkserver_main"
    return subprocess.Popen(
        # -S: the site module would look at every installed package; the path is handed over whole.
        [sys.executable, "-S", "-s", "-B", "-m", module, str(fd), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=(fd,),
        start_new_session=True,
        cwd="/",
        env=environment(),
    )
