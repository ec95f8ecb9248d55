"""How the process of a model starts and ends, and what it leaves behind: nothing."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pytest

from onecopy import nn
from onecopy.errors import InvalidModel, ModelNotFound
from onecopy.nn.service.running import running
from onecopy.nn.service.spot import base, spots
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_for, wait_until_clean

ONE = [np.ones(1, np.float32)]


def host_of(file, seconds: float = 0) -> nn.Host:
    model = nn.Model(what=str(file), backend=BACKEND)
    return nn.Host({"m": model}, idle_seconds=seconds)


@pytest.fixture
def host(tmp_path):
    with host_of(write(tmp_path / "m", "affine"), 3600) as host:
        yield host


def test_it_says_who_it_is_and_goes_with_all_that_it_made(host) -> None:
    with host.load("m"):
        (spot,) = spots()
        pid, backend, name = spot.signed()
        assert (backend, name) == (BACKEND, "m")
        assert Path(f"/proc/{pid}").exists()
        assert oct(spot.folder.stat().st_mode)[-3:] == "700"
    os.kill(pid, signal.SIGTERM)
    wait_for(pid)
    wait_until_clean()


def test_it_is_in_a_session_of_its_own_and_nobodys_child(host) -> None:
    with host.load("m"):
        (loaded,) = running()
        assert os.getsid(loaded.pid) != os.getsid(0)
        with open(f"/proc/{loaded.pid}/stat") as file:
            assert int(file.read().rpartition(")")[2].split()[1]) != os.getpid()
    os.kill(loaded.pid, signal.SIGTERM)
    wait_for(loaded.pid)


def test_told_to_end_it_ends_also_with_users_who_start_another(host) -> None:
    with host.load("m") as graph:
        first = running()[0].pid
        assert graph.run(ONE)[0] == 2
        os.kill(first, signal.SIGTERM)
        wait_for(first)
        assert graph.run(ONE)[0] == 2
        second = running()[0].pid
        assert second != first
    os.kill(second, signal.SIGTERM)
    wait_for(second)


def test_its_environment_is_what_libraries_look_at_and_nothing_else(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("A_SECRET", "x")
    with host_of(write(tmp_path / "m", "misbehave")) as host, host.load("m") as graph:
        (result,) = graph.run([np.frombuffer(b"environment", np.uint8)])
        said = result.tobytes()
    assert b"A_SECRET" not in said
    assert b"ONECOPY_RUNTIME_DIR" in said


def test_a_backend_that_fails_is_an_invalid_model_and_leaves_nothing(tmp_path) -> None:
    with host_of(write(tmp_path / "m", "broken")) as host:
        for _ in range(2):
            with pytest.raises(InvalidModel, match="a bug in a backend"):
                host.load("m")
    wait_until_clean()
    assert not base().exists()


def test_what_is_replaced_while_it_loads_is_loaded_as_it_is_then(tmp_path, gate) -> None:
    file = write(tmp_path / "m", "slow", gate=gate.path)
    graphs = []
    with host_of(file) as host:
        thread = threading.Thread(target=lambda: graphs.append(host.load("m")))
        thread.start()
        gate.await_arrival()
        write(file, "affine", scale=5)
        gate.open()
        thread.join()
        assert graphs[0].run(ONE)[0] == 5
        file.unlink()
        with pytest.raises(ModelNotFound):
            host.load("m")
    wait_until_clean()
