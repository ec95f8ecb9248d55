"""Components: `wasi:nn` from WIT, for guests built from the specification."""

from __future__ import annotations

import numpy as np
import pytest
import wasmtime

from onecopy import nn
from onecopy.errors import GuestMemoryExceeded, GuestTimeout, GuestTrapped, InvalidModule
from onecopy.nn.guest.component import ComponentInstance, compiled, is_component
from tests.nn.arithmetic import BACKEND, write
from tests.nn.backends.onnx_zoo import linear
from tests.nn.guest.components.building import component
from tests.nn.service.ending import wait_until_ended

pytestmark = pytest.mark.usefixtures("compiler")
CODES = [
    "invalid-argument",
    "invalid-encoding",
    "timeout",
    "runtime-error",
    "unsupported-operation",
]
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
    status = ComponentInstance(compiled(wasm), config, models, 1 << 30, lambda *_: None, room).run()
    return status, (tmp_path / "out").read_text().splitlines()


@pytest.mark.parametrize("name", ["x", "0"], ids=["by name", "by number"])
def test_a_component_computes(host, tmp_path, name: str) -> None:
    guest = component("affine", 'MODEL="affine"', f'INPUT="{name}"')
    status, printed = run(guest, host, tmp_path)
    assert status == 0
    assert " ".join(printed) == "y 1 1 1 4 3 5 7 9 y 1 1 1 4 5 5 7 9"


def test_inputs_and_outputs_without_names_have_numbers(host, tmp_path) -> None:
    guest = component("affine", 'MODEL="nameless"', 'INPUT="0"')
    status, printed = run(guest, host, tmp_path)
    assert status == 0
    assert " ".join(printed[:9]) == "0 2 1 1 4 2 4 6 8"


def test_mistakes_have_codes_and_texts_and_the_context_works_on(host, tmp_path) -> None:
    status, printed = run(component("mistakes"), host, tmp_path)
    assert status == 1, "what `run` returned"
    codes = [CODES[int(each)] for each in printed[::2]][:-1]
    texts = printed[1::2]
    assert (
        codes
        == ["not-found", *["invalid-argument"] * 3, "unsupported-operation"]
        + ["invalid-argument"] * 2
    )
    assert printed[-2:] == ["1", ""], "the last one is right, and has one output"
    assert texts[0] == "the host's log says why", "it is not for the guest what the host has"
    assert "no input 'z'" in texts[1]
    assert "BF16" in texts[4]
    assert "each must be given once" in texts[5]


def test_a_component_brings_a_model(host, tmp_path) -> None:
    model = affine(tmp_path / "model.onnx").read_bytes()
    text = ",".join(map(str, model))
    assert run(component("bringing", f"MODEL={text}", "ENCODING=1"), host, tmp_path) == (0, ["9"])


def test_bytes_that_are_no_model_are_an_invalid_argument(host, tmp_path) -> None:
    status, printed = run(component("bringing", "MODEL=1,2,3", "ENCODING=1"), host, tmp_path)
    assert (status, CODES[int(printed[0])]) == (1, "invalid-argument")


def test_a_model_that_dies_is_a_runtime_error_and_is_there_again(host, tmp_path) -> None:
    status, printed = run(component("surviving"), host, tmp_path)
    assert (status, printed) == (0, [str(CODES.index("runtime-error")), "ok!"])


ATTACKS = {
    "a handle that was dropped": (2, "unknown handle index"),
    "a handle of another kind": (3, "handle index"),
    "a handle that never was": (4, "unknown handle index"),
    "bytes outside of its memory": (5, "out of bounds"),
    "a type that there is not": (6, "discriminant"),
    "overlapping lists of 4 GiB": (7, "too much data"),
    "a name that is no text": (8, "utf-8"),
    "more bytes than wasmtime copies in one call": (9, "too much data"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_a_trap(host, tmp_path, attack: str) -> None:
    number, text = ATTACKS[attack]
    with pytest.raises(GuestTrapped, match=text):
        run(component("attack", f"ATTACK={number}"), host, tmp_path)


@pytest.mark.parametrize("number", [0, 1], ids=["of many bytes", "of no bytes"])
def test_a_component_cannot_hoard_tensors(host, tmp_path, number: int) -> None:
    with pytest.raises(GuestMemoryExceeded, match="drop what is no longer needed"):
        run(component("attack", f"ATTACK={number}"), host, tmp_path)


def test_a_component_that_is_no_command_is_refused(host, tmp_path) -> None:
    wasm = bytes(wasmtime.wat2wasm("(component)"))
    with pytest.raises(InvalidModule, match="no command"):
        run(wasm, host, tmp_path)


def test_an_import_that_there_is_not_is_named(host, tmp_path) -> None:
    wasm = bytes(
        wasmtime.wat2wasm(
            """(component
              (import "wasi:nn/graph@0.2.0-rc-2023-01-01" (instance
                (export "load" (func))))
              (core module $m (func (export "run") (result i32) (i32.const 0)))
              (core instance $i (instantiate $m))
              (func $run (result (result)) (canon lift (core func $i "run")))
              (instance $run (export "run" (func $run)))
              (export "wasi:cli/run@0.2.3" (instance $run)))"""
        )
    )
    with pytest.raises(InvalidModule, match=r"wasi:nn/graph@0\.2\.0-rc-2023-01-01"):
        run(wasm, host, tmp_path)


def test_components_and_modules_are_told_apart() -> None:
    assert is_component(bytes(wasmtime.wat2wasm("(component)")))
    assert not is_component(bytes(wasmtime.wat2wasm("(module)")))


def test_hosts_run_components_as_they_run_modules(host, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for _ in range(2):  # compiled, then found
        with (tmp_path / "out").open("w") as out:
            guest = component("affine", 'MODEL="affine"', 'INPUT="x"')
            assert host.run(guest, stdout=out, timeout=60) == 0
        assert (tmp_path / "out").read_text().split()[-4:] == ["5", "5", "7", "9"]


def test_the_process_of_a_component_tells_how_it_ended(host, caches, tmp_path) -> None:
    with pytest.raises(GuestTrapped, match="unknown handle index"):
        host.run(component("attack", "ATTACK=2"), timeout=60)
    with pytest.raises(GuestMemoryExceeded):
        host.run(component("attack", "ATTACK=1"), timeout=60)
    with pytest.raises(GuestTimeout):
        host.run(component("attack", "ATTACK=10"), timeout=0.5)
    with pytest.raises(InvalidModule, match="no command"):
        host.run(bytes(wasmtime.wat2wasm("(component)")))


def test_the_hosts_log_says_why_a_call_was_refused(host, caches, tmp_path, caplog) -> None:
    with caplog.at_level("INFO", "onecopy.nn"), (tmp_path / "out").open("w") as out:
        assert host.run(component("mistakes"), stdout=out, timeout=60) == 1
    said = [each for each in caplog.messages if ": " in each]
    assert "load-by-name: model_not_found: no model 'nobody'" in said[0]
    assert any(each.startswith("compute: invalid_argument: no input 'z'") for each in said)


def test_what_quotes_a_component_is_cut_off(host, caches, tmp_path, caplog) -> None:
    with caplog.at_level("INFO", "onecopy.nn"), (tmp_path / "out").open("w") as out:
        assert host.run(component("attack", "ATTACK=11"), stdout=out, timeout=60) == 0
    assert all(int(each) <= 5000 for each in (tmp_path / "out").read_text().split())
    assert max(map(len, caplog.messages)) < 5000
