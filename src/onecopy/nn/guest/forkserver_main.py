"""The process from which the processes of guests are forked: `forkserver` is its host's side.

Run as `python -m onecopy.nn.guest.forkserver_main SOCKET PARENT`. A fork copies one thread, and
locks as they are: so there is no second thread here, no engine of wasmtime, which has some, and
nothing of a guest ever comes here.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Final, NoReturn

from onecopy.errors import LimitReached
from onecopy.guests.workers import sandbox
from onecopy.nn.guest import messages, runner
from onecopy.nn.guest.messages import Exited, Forked, NotForked
from onecopy.store import wire

_REQUESTED: Final = 3
_FIRST: Final = 3
"""The first descriptor that is no standard stream."""


def main() -> None:
    """Get ready, fork what is asked for, and end when the host is gone and all forks are."""
    fd, parent = map(int, sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox.end_with_parent(parent)
    runner.import_all()
    gc.collect()
    gc.freeze()  # A collection would write to every object, and so copy its page.
    Server(socket.socket(fileno=fd)).run()


class Server:
    """Forks, and waits for what it forked, as only a parent can."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._children: dict[int, tuple[int, socket.socket]] = {}
        """By the pidfd of each: its pid, and where its end is awaited."""
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def run(self) -> None:
        """Serve until the host has hung up, and no child is left."""
        listening = True
        while listening or self._children:
            for fd, _ in self._poll.poll():
                if fd in self._children:
                    self._reap(fd)
                elif not self._serve():
                    listening = False
                    self._poll.unregister(self._sock)

    def _serve(self) -> bool:
        """Answer a request; return False if there is none, and none will come."""
        try:
            data, fds = wire.receive(self._sock)
        except LimitReached:  # Its sockets were dropped: that tells the host.
            return True
        except ConnectionError:
            return False
        if len(fds) == _REQUESTED:
            control, models, status = fds
            self._fork(control, models, socket.socket(fileno=status))
            fds = [control, models]
        wire.close_all(fds)
        return bool(data)

    def _fork(self, control: int, models: int, status: socket.socket) -> None:
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            _tell(status, NotForked(error.errno or 0))
            status.close()
            return
        if not pid:
            _run(control, models, server)
        self._announce(pid, status)

    def _announce(self, pid: int, status: socket.socket) -> None:
        try:
            pidfd, statm = _opened(pid)
        except OSError as error:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            _tell(status, NotForked(error.errno or 0))
            status.close()
            return
        _tell(status, Forked(pid), (pidfd, statm))
        os.close(statm)
        self._children[pidfd] = pid, status
        self._poll.register(pidfd, select.POLLIN)

    def _reap(self, pidfd: int) -> None:
        pid, status = self._children.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        ended = os.waitpid(pid, 0)[1]
        _tell(status, Exited(os.waitstatus_to_exitcode(ended)))
        status.close()


def _opened(pid: int) -> tuple[int, int]:
    """Return a pidfd of a child, and its open statm."""
    pidfd = os.pidfd_open(pid)
    try:
        return pidfd, os.open(f"/proc/{pid}/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        os.close(pidfd)
        raise


def _tell(status: socket.socket, message: object, fds: tuple[int, ...] = ()) -> None:
    with contextlib.suppress(ConnectionError):  # Nobody wants to know.
        wire.send(status, messages.encode(message), fds)


def _run(control: int, models: int, server: int) -> NoReturn:
    """Be the process of a guest: with no way back into the loop of the server."""
    try:
        os.setsid()
        close_all_but({control, models})
        runner.main(control, models, server)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(1)


def close_all_but(kept: set[int]) -> None:
    """Close all descriptors beyond the standard streams, except some.

    The sockets of other guests above all: who waits for their end would wait for this process's.
    """
    for fd in [int(each.name) for each in Path("/proc/self/fd").iterdir()]:
        if fd >= _FIRST and fd not in kept:
            with contextlib.suppress(OSError):  # The one by which they were listed.
                os.close(fd)


if __name__ == "__main__":
    main()
