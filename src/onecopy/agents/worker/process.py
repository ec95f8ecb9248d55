"""The process of one agent: it closes itself off, and runs what the server sends.

All that it needs is open or in memory by then: the component's native code, and a socket.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import resource
import signal
import socket
import sys
import threading
from typing import TYPE_CHECKING, Final

import msgspec

from onecopy.agents.worker import messages
from onecopy.agents.worker.engine import STACK_NBYTES, engine
from onecopy.agents.worker.guest import Guest
from onecopy.agents.worker.linking import link
from onecopy.agents.worker.messages import Answer, Asked, Begin, Cancel, Config, Ready
from onecopy.agents.worker.run import Run, Stop
from onecopy.guests.workers import sandbox
from onecopy.nn.guest import landlock

if TYPE_CHECKING:
    from onecopy.agents.worker.limits import Limits
    from onecopy.agents.worker.messages import Message

_PR_SET_THP_DISABLE: Final = 41
_OWN_NBYTES: Final = 1 << 30
"""Of memory beside that of its guests, messages above all."""


class Channel:
    """The socket to the server; several threads may send."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._turn = threading.Lock()

    def send(self, message: Message) -> None:
        """Send a message."""
        data = messages.frame(message)
        with self._turn:
            self._sock.sendall(data)

    def receive(self) -> Begin | Answer | Cancel | None:
        """Return the next message; None at the end."""
        head = self._exactly(messages.HEAD_NBYTES)
        if head is None:
            return None
        data = self._exactly(messages.length(head, messages.TO_WORKER_NBYTES))
        return None if data is None else messages.to_worker(data)

    def _exactly(self, nbytes: int) -> bytes | None:
        data = bytearray(nbytes)
        view = memoryview(data)
        while view:
            count = self._sock.recv_into(view)
            if not count:
                return None
            view = view[count:]
        return bytes(data)


class Worker:
    """Gives each run a thread of its own."""

    def __init__(self, channel: Channel, guest: Guest, limits: Limits) -> None:
        self._channel = channel
        self._guest = guest
        self._limits = limits
        self._runs: dict[int, Run] = {}

    def serve(self) -> None:
        """Do what the server asks for, until it closes the socket."""
        while (message := self._channel.receive()) is not None:
            if isinstance(message, Begin):
                self._begin(message)
            elif run := self._runs.get(message.run):
                if isinstance(message, Cancel):
                    run.cancel()
                else:
                    run.answer(message)

    def _begin(self, message: Begin) -> None:
        run = Run(message, self._limits, self._channel.send)
        self._runs[message.run] = run
        threading.Thread(target=self._run, args=(run,), daemon=True).start()

    def _run(self, run: Run) -> None:
        try:
            ended = self._guest.run(run)
            del self._runs[run.begin.run]
            self._channel.send(ended)
        except OSError:  # the server has gone, and so does this process
            os._exit(1)


def close_off(limits: Limits) -> list[str]:
    """Confine this process; return what this kernel cannot do of it."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    most = limits.concurrent * (limits.memory + STACK_NBYTES) + _OWN_NBYTES
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    lacks = landlock.confine([])
    return [text for text in (lacks, sandbox.enter()) if text]


def _fault(guest: Guest, limits: Limits) -> str:
    """Return why no run could begin, or nothing; it has the code and data of all runs ready."""
    run = Run(Begin(0, "", b"", 0, False, 0.0), limits, _silent)
    found = []
    thread = threading.Thread(target=lambda: found.append(guest.fault(run)))
    thread.start()
    thread.join()
    return found[0]


def _silent(message: Message) -> None:
    if isinstance(message, Asked):
        raise Stop("the agent called its host before there was an event")


def main() -> None:
    """Load the component, give up what it must not have, and serve."""
    from wasmtime.component import Component

    config = msgspec.json.decode(sys.argv[1], type=Config)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox.end_with_parent(config.parent)
    sandbox.ask_for_short_turns()
    sandbox.go_first_when_memory_runs_out()
    # Memory is given to guests page by page: what a waiting one costs is what it has touched.
    ctypes.CDLL(None).prctl(_PR_SET_THP_DISABLE, 1, 0, 0, 0)
    logging.basicConfig(format="%(message)s")
    threading.stack_size(STACK_NBYTES)
    component = Component.deserialize_file(engine(), f"/proc/self/fd/{config.component}")
    os.close(config.component)
    guest = Guest(component, link(component))
    channel = Channel(socket.socket(fileno=config.socket))
    lacks = close_off(config.limits)
    gc.freeze()  # what was imported stays: no collection need look at it again
    channel.send(Ready(lacks, _fault(guest, config.limits)))
    worker = Worker(channel, guest, config.limits)
    worker.serve()
    os._exit(0)


if __name__ == "__main__":
    main()
