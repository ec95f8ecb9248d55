"""What a host has ready for the next guest, and takes back if the guest wants something else."""

from __future__ import annotations

import socket
import threading

import numpy as np
import pytest

from onecopy import nn
from onecopy.errors import ModelNotFound
from onecopy.nn import desk
from onecopy.nn.broker import Broker
from onecopy.nn.desk import Desk, serve
from tests.guests.waiting import eventually
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_until_ended


@pytest.fixture(autouse=True)
def patience(monkeypatch) -> None:
    """However slow this machine is, a guest of these tests asks in time."""
    monkeypatch.setattr(desk, "AHEAD_SECONDS", 60.0)


@pytest.fixture
def host(tmp_path):
    model = nn.Model(what=str(write(tmp_path / "double", "affine")), backend=BACKEND)
    with nn.Host({"double": model}, idle_seconds=0) as host:
        yield host
    wait_until_ended()


def asking(host: nn.Host) -> socket.socket:
    """Return the end of a further guest, which will be expected to ask for the same."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def run() -> None:
        with theirs:
            serve(theirs, host)

    threading.Thread(target=run, name="models of a guest").start()
    return mine


def _double(graph: nn.Graph) -> list[float]:
    return [float(each) for each in graph.run([np.ones(2, np.float32)])[0]]


def test_the_next_guest_is_connected_before_it_asks(host) -> None:
    with asking(host) as first, Broker(first).load("double"), asking(host) as other:
        eventually(lambda: host.models()[0].users == 2)
        with Broker(other).load("double") as graph:
            assert host.models()[0].users == 2
            assert _double(graph) == [2, 2]


def test_a_guest_that_does_not_ask_soon_is_no_user(host, monkeypatch) -> None:
    monkeypatch.setattr(desk, "AHEAD_SECONDS", 0.0)
    forgotten, forget = threading.Event(), Desk.forget_ahead

    def forget_ahead(desk: Desk) -> None:
        forget(desk)
        forgotten.set()

    with asking(host) as first, Broker(first).load("double"):
        monkeypatch.setattr(Desk, "forget_ahead", forget_ahead)
        with asking(host):
            assert forgotten.wait(60)
            eventually(lambda: host.models()[0].users == 1)


def test_a_guest_that_asks_for_something_else_gets_that(host) -> None:
    with asking(host) as first, Broker(first).load("double"), asking(host) as other:
        eventually(lambda: host.models()[0].users == 2)
        with pytest.raises(ModelNotFound):
            Broker(other).load("none")
        eventually(lambda: host.models()[0].users == 1)
        with Broker(other).load("double") as graph:
            assert _double(graph) == [2, 2]


def test_a_model_that_was_replaced_after_the_guest_was_connected_is_the_new_one(tmp_path) -> None:
    file = write(tmp_path / "m", "affine")
    model = nn.Model(what=str(file), backend=BACKEND)
    host = nn.Host({"m": model}, idle_seconds=0)
    with host, asking(host) as first, Broker(first).load("m") as graph:
        assert _double(graph) == [2, 2]
        with asking(host) as other:
            eventually(lambda: host.models()[0].users == 2)
            write(file, "affine", scale=5)
            with Broker(other).load("m") as replaced:
                assert _double(replaced) == [5, 5]
    wait_until_ended()


def test_what_does_not_run_any_more_is_not_started_for_a_guest_that_may_not_ask(host) -> None:
    with asking(host) as first:
        Broker(first).load("double").close()
    wait_until_ended()
    with asking(host) as other:
        with pytest.raises(ModelNotFound):
            Broker(other).load("none")
        assert host.models() == []
