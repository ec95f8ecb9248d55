from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from onecopy.store import wire
from onecopy.store.daemon.listening import Listening
from onecopy.store.daemon.loop import Loop


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        yield listener


@pytest.fixture
def client(listener: socket.socket) -> Iterator[socket.socket]:
    """One that waits to be accepted."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(listener.getsockname())
        yield client


def accepted(listener: socket.socket, loop: Loop) -> list[socket.socket]:
    """The connections that are taken, the first of which ends the loop."""
    taken: list[socket.socket] = []
    Listening(loop, 1 << 16, lambda sock: (taken.append(sock), loop.stop())).begin(listener)
    return taken


def test_who_waits_is_taken(listener: socket.socket, client: socket.socket) -> None:
    loop = Loop()
    taken = accepted(listener, loop)
    loop.run()
    taken[0].send(b"welcome")
    assert client.recv(10) == b"welcome"
    taken[0].close()


def test_descriptors_are_left_for_those_who_come_later(
    listener: socket.socket, client: socket.socket
) -> None:
    loop, taken = Loop(), []
    Listening(loop, -wire.FDS_LIMIT, taken.append).begin(listener)
    loop.after(0, loop.stop)
    loop.run()
    assert not taken
    assert client.recv(1) == b""


def test_without_a_descriptor_it_looks_away_and_tries_again(
    listener: socket.socket, client: socket.socket
) -> None:
    free: list[int] = []

    class Watched(Loop):
        """Gives a descriptor back as soon as somebody looks away."""

        def remove(self, fd: int) -> None:
            super().remove(fd)
            os.close(free.pop())

    loop = Watched()
    taken = accepted(listener, loop)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(each) for each in os.listdir("/proc/self/fd"))
    while not free or free[-1] <= highest:
        free.append(os.open("/dev/null", os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (free[-1] + 1, before[1]))
    try:
        loop.run()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
        for fd in free:
            os.close(fd)
    assert len(taken) == 1
    taken[0].close()
