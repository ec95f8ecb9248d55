"""A computation that nobody waits for ends its process; any other is left alone."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from onecopy.nn.service.vigil import Vigil, any_open
from tests.guests.waiting import eventually


def test_a_computation_without_end_ends_when_nobody_waits_for_it() -> None:
    code = """
import socket, threading
from onecopy.nn.service.vigil import Vigil
ours, theirs = socket.socketpair()
with Vigil(lambda: [ours.fileno()], 0.01):
    theirs.close()
    threading.Event().wait()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "nobody waits" in done.stderr


def test_one_that_somebody_waits_for_goes_on() -> None:
    ours, theirs = socket.socketpair()
    vigil = Vigil(lambda: [ours.fileno()], 0.001)
    with vigil:
        eventually(lambda: vigil.looks > 3)
    ours.close()
    theirs.close()


def test_short_ones_are_not_looked_at() -> None:
    vigil = Vigil(list, 3600)
    for _ in range(1000):
        with vigil:
            pass
    assert vigil.looks == 0


@pytest.mark.parametrize("kind", [socket.SOCK_SEQPACKET, socket.SOCK_STREAM])
def test_who_is_gone_is_known_though_they_had_sent_something(kind: socket.SocketKind) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    other, another = socket.socketpair(socket.AF_UNIX, kind)
    theirs.send(b"unread")
    assert any_open([ours.fileno()])
    theirs.close()
    assert not any_open([ours.fileno()])
    assert any_open([ours.fileno(), other.fileno()])
    assert not any_open([])
    closed = os.dup(0)
    os.close(closed)
    assert not any_open([closed])
    for each in (ours, other, another):
        each.close()
