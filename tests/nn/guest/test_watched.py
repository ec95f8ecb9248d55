"""Seeing to a guest: its messages, its time, its memory, its end."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from onecopy.errors import GuestMemoryExceeded, GuestTimeout, ProtocolError, WorkerLost
from onecopy.nn.guest import messages, watched
from onecopy.nn.guest.forkserver import ForkServer
from onecopy.nn.guest.messages import Ended, Said
from onecopy.nn.guest.process import GuestProcess
from onecopy.nn.guest.watched import Watched


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()
    assert server.wait(60)


@pytest.fixture
def process(server: ForkServer) -> Iterator[GuestProcess]:
    """One that is ready, and does nothing by itself."""
    process = GuestProcess(server)
    process.await_ready()
    yield process
    process.close()


def until_ended(watched: Watched) -> Ended:
    while (ended := watched.turn()) is None:
        pass
    return ended


def hear(process: GuestProcess, *said: bytes) -> None:
    """Have it say something: a real guest would need models for that."""
    process.control.close()
    process.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in said:
        theirs.send(each)
    theirs.close()


def test_what_it_says_is_logged_and_its_end_is_returned(process, caplog) -> None:
    said = (Said("quiet"), Said("loud", warning=True), Ended(3))
    hear(process, *map(messages.encode, said))
    with caplog.at_level(logging.INFO, "onecopy.nn"):
        assert until_ended(Watched(process, None, 1 << 30)) == Ended(3)
    levels = [(each.levelno, each.message) for each in caplog.records]
    assert levels == [(logging.INFO, "quiet"), (logging.WARNING, "loud")]


def test_what_is_no_message_is_an_error(process) -> None:
    hear(process, b"\xff\xff")
    with pytest.raises(ProtocolError):
        until_ended(Watched(process, None, 1 << 30))


def test_one_that_waits_for_ever_is_ended_in_time(process) -> None:
    with pytest.raises(GuestTimeout, match=r"within 0\.01 s; raise timeout"):
        until_ended(Watched(process, 0.01, 1 << 30))
    assert process.wait() == -signal.SIGKILL


def test_one_with_too_much_memory_is_ended(process, monkeypatch) -> None:
    monkeypatch.setattr(watched, "ROOM", 0)
    with pytest.raises(GuestMemoryExceeded, match="raise memory_limit"):
        until_ended(Watched(process, None, 1 << 20))
    assert process.wait() == -signal.SIGKILL


def test_one_that_somebody_else_ends_is_lost(process) -> None:
    os.kill(process.pid, signal.SIGTERM)
    with pytest.raises(WorkerLost, match="SIGTERM"):
        until_ended(Watched(process, None, 1 << 30))
