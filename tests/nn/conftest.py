"""Fixtures of the tests of WASI-NN."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy import nn
from onecopy.nn.service.spot import spots
from tests.nn.arithmetic import BACKEND, write
from tests.nn.gates import Gate
from tests.nn.service.ending import wait_until_ended


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    """Where a model of `arithmetic` waits for the test."""
    return Gate(tmp_path / "gate")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory):
    """A function that returns a model of default values; one process serves a file's tests."""
    folder = tmp_path_factory.mktemp("shared")
    graphs: dict[str, nn.Graph] = {}

    def load(kind: str) -> nn.Graph:
        if kind not in graphs:
            file = write(folder / kind, kind)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("ONECOPY_RUNTIME_DIR", str(folder / "run"))
                model = nn.Model(what=str(file), backend=BACKEND)
                graphs[kind] = nn.Host({kind: model}, idle_seconds=0).load(kind)
        return graphs[kind]

    load.spots = lambda: spots(folder / "run" / ".nn")
    yield load
    for each in graphs.values():
        each.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ONECOPY_RUNTIME_DIR", str(folder / "run"))
        wait_until_ended()


@pytest.fixture
def load(tmp_path: Path):
    """A function that makes a model of `tests.nn.arithmetic` and loads it by a host of its own."""
    graphs, hosts = [], []

    def load(kind: str, config: str = "", **fields) -> nn.Graph:
        file = write(tmp_path / f"{kind}{len(hosts)}", kind, **fields)
        host = nn.Host({kind: nn.Model(what=str(file), backend=BACKEND)}, idle_seconds=0)
        hosts.append(host)
        graphs.append(host.load(kind, config))
        return graphs[-1]

    yield load
    for each in (*graphs, *hosts):
        each.close()
    wait_until_ended()
