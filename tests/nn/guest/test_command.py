"""Which modules can be run."""

from __future__ import annotations

from pathlib import Path

import pytest
import wasmtime

from onecopy.errors import InvalidModule
from onecopy.guests.wasm.module import compile_module
from onecopy.nn.guest.command import compile_command

MEMORY = '(memory (export "memory") 1)'
START = '(func (export "_start"))'


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def compiled(text: str) -> None:
    compile_command(bytes(wasmtime.wat2wasm(f"(module {text})"))).load()


def refuse(text: str, why: str) -> None:
    with pytest.raises(InvalidModule, match=why):
        compiled(text)


def test_a_command_may_import_wasi_and_inference():
    compiled(
        """
        (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
        (import "wasi_ephemeral_nn" "compute" (func (param i32) (result i32)))
        """
        + MEMORY
        + START
    )


@pytest.mark.parametrize("module", ["env", "onecopy", "wasmedge_tensorflow", "wasi_snapshot"])
def test_nothing_else_can_be_imported(module):
    refuse(f'(import "{module}" "f" (func)) {MEMORY} {START}', "does not have")


def test_only_functions_can_be_imported():
    for kind in ("(global i32)", "(table 1 funcref)"):
        refuse(f'(import "wasi_snapshot_preview1" "x" {kind}) {MEMORY} {START}', "does not have")


def test_functions_have_the_signatures_of_the_specification():
    refuse(
        f'(import "wasi_ephemeral_nn" "compute" (func (param i64) (result i32))) {MEMORY} {START}',
        "it is",
    )
    refuse(f'(import "wasi_ephemeral_nn" "train" (func)) {MEMORY} {START}', "does not have")


def test_a_command_exports_its_memory_and_its_start():
    refuse(START, "exactly one memory")
    refuse(MEMORY, "_start")
    refuse(MEMORY + '(func (export "_start") (param i32))', "_start")
    refuse(MEMORY + '(global (export "_start") i32 (i32.const 0))', "_start")


def test_what_can_be_run_is_no_guest_with_windows_and_the_other_way_round():
    wasi = '(import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))'
    wasm = bytes(wasmtime.wat2wasm(f"(module {wasi} {MEMORY} {START})"))
    compile_command(wasm)
    with pytest.raises(InvalidModule, match="no files"):
        compile_module(wasm)
