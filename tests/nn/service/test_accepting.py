from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from onecopy.nn.service.accepting import accept


@pytest.fixture
def listener(tmp_path: Path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        listener.setblocking(False)
        yield listener


def test_without_anybody_who_waits_it_says_so(listener) -> None:
    with pytest.raises(BlockingIOError):
        accept(listener)


def test_a_connection_never_blocks_and_is_not_inherited(listener) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.connect(listener.getsockname())
        with accept(listener) as accepted:
            accepted.setblocking(True)
            assert not os.get_blocking(accepted.fileno())
            assert not os.get_inheritable(accepted.fileno())
            with pytest.raises(BlockingIOError):
                accepted.recv(1)
            client.send(b"x")
            assert accepted.recv(1) == b"x"
