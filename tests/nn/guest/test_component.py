"""Components: `wasi:nn` from WIT, for guests built from the specification."""

from __future__ import annotations

import numpy as np
import pytest
import wasmtime
from wasmtime.component import Component

from onecopy import nn
from onecopy.errors import GuestMemoryExceeded, InvalidModule
from onecopy.guests.wasm.engine import engine
from onecopy.nn.guest.component import is_component, run_component
from onecopy.nn.standard import Errno
from tests.nn.arithmetic import BACKEND, write
from tests.nn.backends.onnx_zoo import linear
from tests.nn.guest.components.building import component
from tests.nn.service.ending import wait_until_ended

pytestmark = pytest.mark.usefixtures("compiler")
CODES = ["invalid-argument", "invalid-encoding", "timeout", "runtime-error", "unsupported-operation"]
CODES += ["too-large", "not-found", "security", "unknown"]


def affine(path):
    return linear(path, 2 * np.eye(4, dtype=np.float32), np.ones(4, np.float32))


@pytest.fixture
def host(tmp_path):
    models = {
        "affine": affine(tmp_path / "affine.onnx"),
        "nameless": nn.Model(
            what=str(write(tmp_path / "nameless", "affine", ports=False)), backend=BACKEND
        ),
        "model": nn.Model(what=str(write(tmp_path / "model", "misbehave")), backend=BACKEND),
    }
    with nn.Host(models, idle_seconds=0) as host:
        yield host
    wait_until_ended()


def run(wasm: bytes, models, tmp_path, room: int = 1 << 24) -> tuple[int, list[str]]:
    """Run a component in this process, as the process of a guest does; return what it printed."""
    config = wasmtime.WasiConfig()
    config.stdout_file = str(tmp_path / "out")
    store = wasmtime.Store(engine())
    store.set_wasi(config)
    store.set_epoch_deadline(1 << 40)
    try:
        status = run_component(Component(engine(), wasm), engine(), store, models, room)
    finally:
        store.close()
    return status, (tmp_path / "out").read_text().splitlines()


@pytest.mark.parametrize("name", ["x", "0"], ids=["by name", "by number"])
def test_a_component_computes(host, tmp_path, name: str) -> None:
    status, printed = run(component("affine", f'INPUT="{name}"'), host, tmp_path)
    assert status == 0
    assert printed == ["y", *"1 1 1 4 3 5 7 9".split(), "y", *"1 1 1 4 5 5 7 9".split()]


def test_inputs_of_a_model_that_names_none_have_numbers(host, tmp_path) -> None:
    source = component("affine", 'INPUT="0"').replace(b"affine\0", b"nameless\0")
    del source  # the text is not what is sent; see below
    wasm = component("affine", 'INPUT="0"', "affine=affine")
    status, printed = run(wasm, {"affine": "nameless"} and Renamed(host), tmp_path)
    assert (status, printed[:4]) == (0, ["0", "2", "1", "1"])


class Renamed:
    """A host whose `affine` is another model."""

    def __init__(self, host):
        self._host = host

    def load(self, name, config=""):
        return self._host.load("nameless", config)
