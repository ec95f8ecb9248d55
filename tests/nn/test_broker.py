"""The socket between a guest's process and its host."""

from __future__ import annotations

import os
import socket
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy import nn
from onecopy.errors import (
    AccessDenied,
    BackendLost,
    InvalidArgument,
    ModelNotFound,
)
from onecopy.nn import desk
from onecopy.nn.broker import Broker
from onecopy.nn.desk import serve
from onecopy.nn.service.messages import Hello, encode
from onecopy.store import wire
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_until_ended


@pytest.fixture
def host(tmp_path):
    model = nn.Model(what=str(write(tmp_path / "double", "affine")), backend=BACKEND)
    with nn.Host({"double": model}, idle_seconds=0, guests_may_load=False) as host:
        yield host
    wait_until_ended()


@pytest.fixture
def guest(host):
    """The guest's end of a socket that a thread of the host serves."""
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=serve, args=(theirs, host))
    thread.start()
    yield mine
    mine.close()
    thread.join()
    theirs.close()


def test_a_guest_loads_and_computes(guest) -> None:
    with Broker(guest).load("double") as graph:
        assert graph.run([np.ones(3, np.float32)])[0].tolist() == [2, 2, 2]


def test_each_context_has_a_connection(guest, host) -> None:
    with Broker(guest).load("double") as graph, graph.context() as one, graph.context() as other:
        for number, context in enumerate((one, other)):
            context.set_input("x", "u8", (1,), bytes([number + 1]))
            context.compute()
        assert bytes(one.output("y")) == b"\x02"
        assert bytes(other.output("y")) == b"\x04"
        assert host.models()[0].users == 2


def test_what_the_host_does_not_have_is_not_found(guest) -> None:
    with pytest.raises(ModelNotFound, match="there are: double"):
        Broker(guest).load("/etc/passwd")


def test_bytes_are_refused_by_a_host_that_takes_none(guest) -> None:
    with pytest.raises(AccessDenied, match="guests_may_load"):
        Broker(guest).load_bytes([b"model"], "onnx")


def test_models_that_were_not_loaded_have_no_connections(guest) -> None:
    with pytest.raises(InvalidArgument, match="no model 7"):
        Broker(guest).again(7)


def test_too_many_models_are_refused(guest, monkeypatch) -> None:
    monkeypatch.setattr(desk, "GRAPHS", 2)
    asking = Broker(guest)
    graphs = [asking.load("double") for _ in range(2)]
    with pytest.raises(AccessDenied, match="unload some"):
        asking.load("double")
    graphs.pop().close()
    del graphs
    asking.load("double").close()


def test_too_many_connections_are_refused(guest, monkeypatch) -> None:
    monkeypatch.setattr(desk, "CONNECTIONS", 2)
    with Broker(guest).load("double") as graph:
        contexts = [graph.context() for _ in range(3)]
        for context in contexts:
            context.set_input(0, "u8", (1,), b"1")
        contexts[0].compute()
        contexts[1].compute()
        with pytest.raises(AccessDenied, match="connections"):
            contexts[2].compute()


def test_a_name_too_long_for_a_message_is_refused_here(guest) -> None:
    with pytest.raises(InvalidArgument, match="too long"):
        Broker(guest).load("x" * 300_000)


def test_without_a_host_models_are_lost(host) -> None:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.close()
    with mine, pytest.raises(BackendLost, match="host has gone"):
        Broker(mine).load("double")


@settings(max_examples=30, deadline=None)
@given(noise=st.lists(st.binary(min_size=1, max_size=300), max_size=5))
def test_a_host_answers_after_any_bytes(noise) -> None:
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    thread = threading.Thread(target=serve, args=(theirs, nn.Host({})))
    thread.start()
    with mine, theirs:
        for each in noise:
            fd = os.memfd_create("noise")
            wire.send(mine, each, (fd,))
            os.close(fd)
            wire.receive(mine)
        with pytest.raises(ModelNotFound):
            Broker(mine).load("none")
        mine.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_a_message_of_the_wrong_kind_is_refused(guest) -> None:
    wire.send(guest, encode(Hello(1, "", 0.0)))
    data, _ = wire.receive(guest)
    assert b"ProtocolError" in data
