"""Connections to the process of one model, some of them made before they are asked for."""

from __future__ import annotations

import os
import select
import signal
import threading
from pathlib import Path

import pytest

from onecopy import nn
from onecopy.errors import ModelNotFound
from onecopy.nn.service.connector import Connector
from onecopy.nn.service.running import running
from tests.conftest import open_files
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_for, wait_until_ended


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "m", "affine")


@pytest.fixture
def connector(file: Path):
    host = nn.Host({"m": nn.Model(what=str(file), backend=BACKEND)}, idle_seconds=0)
    yield lambda: host.connector("m")
    host.close()
    wait_until_ended()


def pid_of(connect: Connector) -> int:
    sock, welcome = connect()
    sock.close()
    return welcome.pid


def test_all_connections_are_to_the_same_process(connector) -> None:
    sock, welcome = connector()()
    assert pid_of(connector()) == welcome.pid
    assert running()[0].pid == welcome.pid
    sock.close()


def test_who_has_a_model_keeps_it_and_who_comes_later_gets_what_is_there_then(
    connector, file
) -> None:
    connect = connector()
    sock, old = connect()
    write(file, "affine", scale=5)
    other, new = connector()()
    assert new.pid != old.pid
    assert pid_of(connect) == old.pid
    sock.close()
    wait_for(old.pid)
    with pytest.raises(ModelNotFound, match="replaced"):
        connect()
    other.close()


def test_a_connection_that_was_made_ahead_is_used_once(connector) -> None:
    holding, _ = connector()()
    connect = connector()
    connect.connect_ahead()
    assert running()[0].users == 2
    first, _ = connect()
    assert running()[0].users == 2
    second, _ = connect()
    assert running()[0].users == 3
    for each in (holding, first, second):
        each.close()


def test_nothing_is_started_ahead_and_errors_are_told_when_it_is_asked_for(connector, file) -> None:
    before = open_files()
    connect = connector()
    connect.connect_ahead()
    assert running() == []
    file.unlink()
    connect.connect_ahead()
    assert open_files() == before
    with pytest.raises(ModelNotFound):
        connect()


def test_what_was_made_ahead_for_another_model_is_not_used(connector, file) -> None:
    holding, old = connector()()
    connect = connector()
    connect.connect_ahead()
    write(file, "affine", scale=5)
    sock, new = connect()
    assert new.pid != old.pid
    holding.close()
    sock.close()


def test_nor_one_whose_process_has_ended(connector) -> None:
    holding, old = connector()()
    connect = connector()
    connect.connect_ahead()
    assert connect._ahead is not None
    select.select([connect._ahead[1]], [], [], 30)  # its process has said that it is there
    os.kill(old.pid, signal.SIGKILL)
    wait_for(old.pid)
    sock, new = connect()
    assert new.pid != old.pid
    holding.close()
    sock.close()


def test_what_is_forgotten_is_closed_and_twice_is_fine(connector) -> None:
    holding, _ = connector()()
    before = open_files()
    connect = connector()
    connect.connect_ahead()
    connect.forget_ahead()
    connect.forget_ahead()
    assert open_files() == before
    holding.close()


def test_a_model_that_is_loading_is_not_waited_for(tmp_path, gate) -> None:
    file = write(tmp_path / "slow", "slow", gate=gate.path)
    host = nn.Host({"m": nn.Model(what=str(file), backend=BACKEND)}, idle_seconds=0)
    found = []
    thread = threading.Thread(target=lambda: found.append(host.connector("m")()))
    thread.start()
    gate.await_arrival()
    connect = host.connector("m")
    connect.connect_ahead()  # It would wait for ever: the gate is opened after it.
    gate.open()
    thread.join()
    sock, welcome = connect()
    assert welcome.pid == found[0][1].pid
    for each in (sock, found[0][0]):
        each.close()
    wait_until_ended()
