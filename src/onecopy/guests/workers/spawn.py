"""Starting a worker process, and what the engine keeps of it."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from onecopy.guests.workers import progress
from onecopy.guests.workers.progress import Progress
from onecopy.guests.workers.spill import new_spill
from onecopy.guests.workers.worker import Config

SLICE: Final = 0.05
"""Seconds after which a wait on the socket ends, to look at the clock: cheaper than a poll."""
_TIMEVAL: Final = struct.Struct("@ll")
_INHERITED: Final = ("LD_LIBRARY_PATH",)
_ENVIRONMENT: Final = {
    # Threads of libraries would be idle in a worker, and cost memory.
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
    "LC_ALL": "C.UTF-8",
}


class Spawned(NamedTuple):
    """A process that is starting; `close` what is here when it has ended."""

    process: subprocess.Popen[bytes]
    sock: socket.socket
    progress: Progress
    pidfd: int
    errors: int
    """The end of a pipe, not blocking: what it writes to its standard error."""
    statm: int
    """Open since before it closed itself off: how much memory it has."""
    long: int
    """The segment of long answers."""

    def close(self) -> None:
        """Close what is open; `progress` can still be read."""
        self.sock.close()
        for fd in (self.pidfd, self.errors, self.statm, self.long):
            os.close(fd)


def spawn(services: tuple[str, ...]) -> Spawned:
    """Start a worker; the kernel ends it when the calling thread ends.

    Raises:
        OSError: there are not enough descriptors, processes or memory.
    """
    with ExitStack() as ours, ExitStack() as theirs:
        page = _closing(theirs, progress.new_page())
        sock, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.callback(sock.close)
        theirs.callback(other.close)
        reader, writer = os.pipe()
        _closing(ours, reader)
        _closing(theirs, writer)
        engine = _closing(theirs, os.pidfd_open(os.getpid()))
        long = _closing(ours, new_spill())
        config = Config(other.fileno(), page, engine, long, os.getpid(), services)
        process = _start(config, writer)
        ours.callback(_end, process)
        pidfd = _closing(ours, os.pidfd_open(process.pid))
        statm = _closing(ours, os.open(f"/proc/{process.pid}/statm", os.O_RDONLY | os.O_CLOEXEC))
        set_waits(sock)
        os.set_blocking(reader, False)
        spawned = Spawned(process, sock, Progress(page), pidfd, reader, statm, long)
        ours.pop_all()
        return spawned


def _closing(stack: ExitStack, fd: int) -> int:
    stack.callback(os.close, fd)
    return fd


def _start(config: Config, errors: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command(config),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=errors,
        pass_fds=(config.socket, config.progress, config.engine, config.long),
        start_new_session=True,
        cwd="/",
        env=environment(),
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def set_waits(sock: socket.socket) -> None:
    """Have waits on a socket end after `SLICE` seconds."""
    wait = _TIMEVAL.pack(0, int(SLICE * 1e6))
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, wait)


def command(config: Config) -> list[str]:
    """Return the command line of a worker; it needs `environment()`."""
    # -S: the site module would look at every installed package; the path is handed over whole.
    text = msgspec.json.encode(config).decode()
    return [sys.executable, "-S", "-s", "-B", "-m", "onecopy.guests.workers.worker", text]


def environment() -> dict[str, str]:
    """Return a worker's environment: where modules are, and nothing of the engine's secrets."""
    path = [str(Path(__file__).parents[3]), *(str(Path(each).absolute()) for each in sys.path)]
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**kept, **_ENVIRONMENT, "PYTHONPATH": os.pathsep.join(path)}
