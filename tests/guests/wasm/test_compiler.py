"""The process that compiles: Wasm in, native code out, and nothing else."""

from __future__ import annotations

import subprocess
import sys

import wasmtime

from onecopy.guests.wasm.binary import GLOBAL_PREFIX
from onecopy.guests.wasm.engine import engine

GUEST = '(module (memory (export "memory") 1) (global (mut i32) (i32.const 5)) (func (export "f")))'


def compiler(wasm: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "onecopy.guests.wasm.compiler", "onecopy.guests.wasm.module"]
    return subprocess.run(command, input=wasm, capture_output=True, timeout=60)


def test_its_output_is_native_code_of_this_engine(wat) -> None:
    done = compiler(wat(GUEST))
    assert (done.returncode, done.stderr) == (0, b"")
    module = wasmtime.Module.deserialize(engine(), done.stdout)
    assert "f" in [each.name for each in module.exports]


def test_globals_that_change_are_exported_for_the_host(wat) -> None:
    module = wasmtime.Module.deserialize(engine(), compiler(wat(GUEST)).stdout)
    assert [each.name for each in module.exports if each.name.startswith(GLOBAL_PREFIX)]


def test_the_same_module_gives_the_same_code(wat) -> None:
    assert compiler(wat(GUEST)).stdout == compiler(wat(GUEST)).stdout


def test_what_is_wrong_is_said_and_nothing_comes_out(wat) -> None:
    for wasm, text in (
        (wat("(module)"), b"exactly one memory"),
        (wat(GUEST)[:-3], b""),
        (b"\0asm\1\0\0\0\1\5junk!", b"does not compile"),
    ):
        done = compiler(wasm)
        assert done.returncode == 1
        assert done.stdout == b""
        assert text in done.stderr
        assert b"Traceback" not in done.stderr
