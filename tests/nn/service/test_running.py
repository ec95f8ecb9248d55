"""What runs for this user, as its processes say, or as can be seen when they do not."""

from __future__ import annotations

import os
import threading

from onecopy.nn.service.running import memory_of, running
from onecopy.nn.service.spot import base
from tests.nn.service.ending import wait_for
from tests.nn.test_line import kill


def test_nothing_runs_before_anything_is_loaded() -> None:
    assert running() == []


def test_what_runs_is_told_by_its_process(load) -> None:
    graph = load("affine")
    (found,) = running()
    assert (found.name, found.users) == ("affine", 1)
    assert found.pid != os.getpid()
    assert found.memory > 1 << 20
    assert (base() / found.key).is_dir()
    with graph.context() as context:
        context.set_input(0, "u8", (1,), b"1")
        context.compute()
        assert running()[0].users == 1
    graph.close()
    wait_for(found.pid)
    assert running() == []


def test_one_that_computes_is_there_without_a_number_of_users(load, gate) -> None:
    graph = load("affine", gate=gate.path)
    context = graph.context()
    context.set_input(0, "u8", (1,), b"1")
    thread = threading.Thread(target=context.compute)
    thread.start()
    gate.await_arrival()
    (found,) = running()
    assert (found.name, found.users) == ("affine", None)
    assert found.memory > 1 << 20
    gate.open()
    thread.join()
    assert running()[0].users == 1
    context.close()


def test_one_that_was_killed_is_not_there_though_its_folder_is(load) -> None:
    load("affine")
    kill()
    assert any(base().iterdir())
    assert running() == []


def test_a_process_that_is_gone_has_no_memory() -> None:
    assert memory_of(0) == 0
    assert memory_of(os.getpid()) > 1 << 20
