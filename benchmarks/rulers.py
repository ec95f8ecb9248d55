"""Bare processes that compute for a moment and answer: what this machine's own wake-ups cost.

Run by the benchmark as ``python -m benchmarks.rulers FD``.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import subprocess
import sys
import time

from benchmarks.peers.registry import ROOT

MESSAGE = struct.Struct("<Q16x")  # nanoseconds; as long as a call of a guest
now = time.perf_counter


class Responder:
    """A process at the other end of a plain SOCK_SEQPACKET socket; it shares nothing with workers.

    To each message it answers when it has used as many nanoseconds of a processor as that says. It
    asks the kernel for turns as short as theirs: that is up to whoever writes such a process.
    """

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        fd = theirs.fileno()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.rulers", str(fd)],
            pass_fds=[fd],
            cwd=ROOT,
        )
        theirs.close()
        self.ask()  # it has started

    def ask(self) -> float:
        """Return the seconds that a message and its answer took."""
        begin = now()
        self.socket.send(MESSAGE.pack(0))
        self.socket.recv(64)
        return now() - begin

    def close(self) -> None:
        """End it; twice is fine."""
        self.socket.close()
        self._process.wait()


def ask_all(responders: list[Responder], seconds: float) -> float:
    """Wake all, each to compute for so long; return the seconds until the last one has answered."""
    poll = select.poll()
    waiting = {each.socket.fileno(): each.socket for each in responders}
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    message = MESSAGE.pack(int(seconds * 1e9))
    begin = now()
    for each in waiting.values():
        each.send(message)
    while waiting:
        for fd, _ in poll.poll():
            waiting.pop(fd).recv(64)
            poll.unregister(fd)
    return now() - begin


def main() -> None:
    """Answer until the other end is closed."""
    from onecopy.guests.workers.sandbox import ask_for_short_turns

    end = socket.socket(fileno=int(sys.argv[1]))
    ask_for_short_turns()
    while message := end.recv(64):
        (nanoseconds,) = MESSAGE.unpack(message)
        until = time.thread_time_ns() + nanoseconds
        while nanoseconds and time.thread_time_ns() < until:
            pass
        end.send(message)
    os._exit(0)


if __name__ == "__main__":
    main()
