"""Hosts: models by name, each loaded once, by processes that come and go."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from onecopy import nn
from onecopy.errors import (
    BackendMissing,
    InvalidArgument,
    InvalidModel,
    ModelNotFound,
)
from onecopy.nn.service.running import running
from onecopy.nn.service.spot import base
from tests.nn.arithmetic import BACKEND, write
from tests.nn.service.ending import wait_until_ended


@pytest.fixture
def model(tmp_path):
    return nn.Model(what=str(write(tmp_path / "double", "affine")), backend=BACKEND)


@pytest.fixture
def host(model):
    with nn.Host({"double": model}, idle_seconds=0) as host:
        yield host
    wait_until_ended()


def test_a_model_computes(host) -> None:
    with host.load("double") as graph:
        assert graph.what == "tensors"
        assert [port.name for port in graph.inputs] == ["x"]
        (y, _) = graph.run([np.arange(6, dtype=np.float32).reshape(2, 3)])
        np.testing.assert_array_equal(y, [[0, 2, 4], [6, 8, 10]])
        assert y.dtype == np.float32


def test_two_hosts_share_one_process(host, model) -> None:
    other = nn.Host({"again": model}, idle_seconds=0)
    with host.load("double"), other.load("again"):
        (mine,), (theirs,) = host.models(), other.models()
        assert mine.pid == theirs.pid
        assert (mine.name, theirs.name) == ("double", "again")
        assert mine.users == 2
        assert mine.memory > 0


def test_another_program_shares_it_too(host, model) -> None:
    code = (
        "from onecopy import nn\n"
        f"with nn.Host({{'m': nn.Model(what={model.what!r}, backend={model.backend!r})}}, "
        "idle_seconds=0) as host, host.load('m'):\n"
        "    print(host.models()[0].pid)\n"
    )
    with host.load("double"):
        command = [sys.executable, "-c", code]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert int(printed) == host.models()[0].pid


def test_its_process_is_in_a_session_of_its_own_and_nobodys_child(host) -> None:
    with host.load("double"):
        (loaded,) = host.models()
        assert os.getsid(loaded.pid) != os.getsid(0)
        stat = Path(f"/proc/{loaded.pid}/stat").read_text()
        assert int(stat.rpartition(")")[2].split()[1]) != os.getpid()


def test_nothing_is_left_when_it_has_ended(host) -> None:
    host.load("double").close()
    wait_until_ended()
    assert running() == []
    assert not base().exists()


def test_other_options_are_another_process(model) -> None:
    thrice = nn.Model(what=model.what, backend=BACKEND, options={"scale": 3})
    host = nn.Host({"double": model, "triple": thrice}, idle_seconds=0)
    with host.load("double") as double, host.load("triple") as triple:
        x = np.ones(2, np.float32)
        assert double.run([x])[0].tolist() == [2, 2]
        assert triple.run([x])[0].tolist() == [3, 3]
        assert len({each.pid for each in host.models()}) == 2
    wait_until_ended()


def test_a_changed_file_is_another_model(host, tmp_path) -> None:
    x = np.ones(1, np.float32)
    with host.load("double") as before:
        write(tmp_path / "new", "affine", scale=50).rename(tmp_path / "double")
        with host.load("double") as after:
            assert before.run([x])[0].tolist() == [2]
            assert after.run([x])[0].tolist() == [50]


def test_unknown_names_are_not_found(host) -> None:
    with pytest.raises(ModelNotFound, match="there are: double"):
        host.load("treble")


def test_a_missing_file_is_not_found(tmp_path) -> None:
    with nn.Host({"m": tmp_path / "gone.onnx"}) as host, pytest.raises(ModelNotFound):
        host.load("m")


def test_what_is_no_model_is_invalid(tmp_path) -> None:
    (tmp_path / "text").write_text("nothing")
    model = nn.Model(what=str(tmp_path / "text"), backend=BACKEND)
    with (
        nn.Host({"m": model}, idle_seconds=0) as host,
        pytest.raises(InvalidModel, match="no model"),
    ):
        host.load("m")
    wait_until_ended()


def test_a_backend_that_fails_on_its_own_is_told(tmp_path) -> None:
    model = nn.Model(what=str(write(tmp_path / "b", "broken")), backend=BACKEND)
    with (
        nn.Host({"m": model}, idle_seconds=0) as host,
        pytest.raises(InvalidModel, match="RuntimeError: a bug in a backend"),
    ):
        host.load("m")
    wait_until_ended()


def test_a_backend_that_is_not_there_is_missing(tmp_path) -> None:
    model = nn.Model(what=str(write(tmp_path / "b", "affine")), backend="nowhere.to:Be")
    with nn.Host({"m": model}) as host, pytest.raises(BackendMissing):
        host.load("m")


def test_options_of_a_graph_have_to_be_json(host) -> None:
    with pytest.raises(InvalidArgument, match="JSON"):
        host.load("double", "{")


def test_environment_variables_stay_with_the_host(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "do not tell")
    model = nn.Model(what=str(write(tmp_path / "m", "misbehave")), backend=BACKEND)
    with nn.Host({"m": model}, idle_seconds=0) as host, host.load("m") as graph:
        (out,) = graph.run([np.frombuffer(b"environment", np.uint8)])
        assert b"PYTHONPATH" in bytes(out)
        assert b"do not tell" not in bytes(out)
    wait_until_ended()


def test_graphs_are_closed_with_their_host(model) -> None:
    with nn.Host({"double": model}, idle_seconds=0) as host:
        graph = host.load("double")
    with pytest.raises(InvalidArgument, match="closed"):
        graph.context()
    wait_until_ended()
