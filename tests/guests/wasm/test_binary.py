"""Mutable globals become exports, and nothing else changes."""

from __future__ import annotations

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from onecopy import InvalidModule
from onecopy.guests.instance.guest import Instance
from onecopy.guests.wasm.binary import GLOBAL_PREFIX, MAX_GLOBALS, export_globals
from onecopy.guests.wasm.engine import engine
from onecopy.guests.wasm.module import compile_module

MANY = """(module
  (memory (export "memory") 1)
  (global $constant i32 (i32.const -1))
  (global $a (mut i32) (i32.const -5))
  (global $b (mut i64) (i64.const 0x7fffffffffffffff))
  (global $c (mut f32) (f32.const 1.5))
  (global $d (mut f64) (f64.const -0.25))
  (global $vector v128 (v128.const i32x4 11 11 11 11))
  (global $reference funcref (ref.null func))
  (global $e (mut i32) (i32.add (i32.const 1) (i32.const 2)))
  (func (export "bump") (global.set $a (i32.const 7)))
  (func (export "a") (result i32) (global.get $a))
)"""


def exported(wasm: bytes) -> list[str]:
    module = wasmtime.Module(engine(), wasm)
    return [
        each.name or "" for each in module.exports if each.type.__class__.__name__ == "GlobalType"
    ]


def test_each_mutable_global_is_exported(wat):
    names = exported(export_globals(wat(MANY)))
    assert names == [f"{GLOBAL_PREFIX}{i}" for i in (1, 2, 3, 4, 7)]


def test_a_module_without_mutable_globals_stays_as_it_is(wat):
    wasm = wat('(module (memory (export "memory") 1) (global i32 (i32.const 3)))')
    assert export_globals(wasm) == wasm


def test_a_module_without_exports_gets_some(wat):
    wasm = wat("(module (global (mut i32) (i32.const 3)) (func) (start 0))")
    assert exported(export_globals(wasm)) == [f"{GLOBAL_PREFIX}0"]


def test_compiled_guests_have_them_and_still_run(wat):
    with Instance(compile_module(wat(MANY)).load()) as guest:
        guest.call("bump")
        assert guest.call("a") == 7
        assert guest.functions() == ["bump", "a"]


@pytest.mark.parametrize(
    "text",
    [
        "(global (mut v128) (v128.const i32x4 0 0 0 0))",
        "(global (mut funcref) (ref.null func))",
        "(global (mut externref) (ref.null extern))",
        "(global (mut i32) (i32.const 0))" * (MAX_GLOBALS + 1),
    ],
)
def test_globals_that_cannot_be_saved_are_refused(wat, text):
    wasm = wat(f'(module (memory (export "memory") 1) {text})')
    with pytest.raises(InvalidModule, match="memory"):
        compile_module(wasm)


def test_imported_globals_are_refused(wat):
    wasm = wat('(module (import "onecopy" "x" (global (mut i32))) (memory (export "memory") 1))')
    with pytest.raises(InvalidModule, match="imports"):
        compile_module(wasm)


@given(st.data())
def test_garbled_modules_are_refused_or_stay_valid_or_invalid(wat, data):
    wasm = bytearray(wat(MANY))
    for _ in range(data.draw(st.integers(1, 3))):
        wasm[data.draw(st.integers(8, len(wasm) - 1))] = data.draw(st.integers(0, 255))
    wasm = bytes(wasm[: data.draw(st.integers(8, len(wasm)))])
    try:
        changed = export_globals(wasm)
    except InvalidModule:
        return
    if is_valid(wasm):
        assert is_valid(changed)


def is_valid(wasm: bytes) -> bool:
    try:
        wasmtime.Module.validate(engine(), wasm)
    except wasmtime.WasmtimeError:
        return False
    return True
