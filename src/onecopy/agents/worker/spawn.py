"""Starting the process of a worker, and what the server keeps of it."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from onecopy.agents.worker.messages import Config
from onecopy.guests.workers.spawn import environment

if TYPE_CHECKING:
    from onecopy.agents.worker.limits import Limits

_SAID: Final = 2000


class Spawned(NamedTuple):
    """A process that is starting, and the socket to it, not blocking."""

    process: subprocess.Popen[bytes]
    sock: socket.socket
    errors: int
    """The end of a pipe, not blocking: what it writes to its standard error."""

    def said(self) -> str:
        """Return the end of what it has written to its standard error."""
        data = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self.errors, 1 << 16):
                data = (data + part)[-_SAID:]
        return data.decode(errors="replace").strip()


def spawn(component: int, limits: Limits) -> Spawned:
    """Start a worker; the kernel ends it when the calling thread ends.

    Args:
        component: the descriptor of a component's native code.
        limits: of each of its runs.

    Raises:
        OSError: there are not enough descriptors, processes or memory.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        sock, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ours.callback(sock.close)
        theirs.callback(other.close)
        reader, writer = os.pipe()
        ours.callback(os.close, reader)
        theirs.callback(os.close, writer)
        config = Config(other.fileno(), component, os.getpid(), limits)
        process = _start(config, writer)
        os.set_blocking(reader, False)
        sock.setblocking(False)
        ours.pop_all()
        return Spawned(process, sock, reader)


def _start(config: Config, errors: int) -> subprocess.Popen[bytes]:
    # -S: the site module would look at every installed package; the path is handed over whole.
    text = msgspec.json.encode(config).decode()
    module = "onecopy.agents.worker.process"
    return subprocess.Popen(
        [sys.executable, "-S", "-s", "-B", "-m", module, text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=(config.socket, config.component),
        start_new_session=True,
        cwd="/",
        env=environment(),
    )
