"""Modules that are linked, started and run: how they end, and what is their fault."""

from __future__ import annotations

import pytest
import wasmtime

from onecopy import nn
from onecopy.errors import (
    GuestMemoryExceeded,
    GuestTrapped,
    InvalidModule,
    ProtocolError,
)
from onecopy.guests.wasm.engine import engine
from onecopy.nn.guest.functions import Functions
from onecopy.nn.guest.instance import Instance

EXIT = '(import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))'
LOAD = """(import "wasi_ephemeral_nn" "load_by_name"
    (func $load (param i32 i32 i32) (result i32)))"""
MEMORY = '(memory (export "memory") 1)'


def module(*parts: str) -> wasmtime.Module:
    return wasmtime.Module(engine(), wasmtime.wat2wasm(f"(module {' '.join(parts)})"))


def start(body: str) -> str:
    return f'(func (export "_start") {body})'


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def instance(said) -> Instance:
    """Of a host without models."""
    functions = Functions(nn.Host({}), lambda name, errno, _: said.append(f"{name} {errno:d}"))
    return Instance(functions, said.append)


def run(instance: Instance, *parts: str, limit: int = 1 << 20) -> int:
    instance.start(instance.linked(module(*parts)), wasmtime.WasiConfig(), limit, {})
    return instance.run()


@pytest.mark.parametrize(
    ("given", "status"), [(0, 0), (7, 7), (126, 126), (255, 255), (256, 0), (-1, 255)]
)
def test_it_ends_with_its_status_of_a_byte(instance, given, status) -> None:
    assert run(instance, EXIT, MEMORY, start(f"i32.const {given} call $exit")) == status


def test_one_that_returns_ended_well(instance) -> None:
    assert run(instance, MEMORY, start("")) == 0


def test_one_that_traps_is_an_error_with_its_backtrace(instance) -> None:
    with pytest.raises(GuestTrapped, match="unreachable"):
        run(instance, MEMORY, start("unreachable"))


def test_calls_that_fail_are_numbers_and_the_guest_goes_on(instance, said) -> None:
    body = """(i32.const 0) (i32.const 4) (i32.const 1000000) call $load drop
        (i32.const 0) (i32.const 4) (i32.const 8) call $load call $exit"""
    assert run(instance, EXIT, LOAD, MEMORY, start(body)) == 103
    assert said == ["load_by_name 1", "load_by_name 103"]


def test_an_error_that_nobody_foresaw_is_the_hosts_fault(said) -> None:
    class Broken(nn.Host):
        def load(self, name: str, config: str = "") -> nn.Graph:
            raise ZeroDivisionError(name)

    instance = Instance(Functions(Broken({}), lambda *_: None), said.append)
    body = "(i32.const 0) (i32.const 1) (i32.const 8) call $load drop"
    with pytest.raises(GuestTrapped, match="not the guest's: ZeroDivisionError"):
        run(instance, LOAD, MEMORY, start(body))


def test_a_start_function_runs_before_and_has_no_memory_for_inference(instance, said) -> None:
    early = """(func $early (i32.const 0) (i32.const 1) (i32.const 8) call $load
        i32.const 3 i32.ne if unreachable end) (start $early)"""
    assert run(instance, LOAD, MEMORY, early, start("")) == 0
    assert said == ["load_by_name 3"]


def test_a_start_function_that_traps_is_the_guests(instance) -> None:
    with pytest.raises(GuestTrapped, match="at its start"):
        run(instance, MEMORY, "(func $early unreachable) (start $early)", start(""))


def test_one_that_ends_itself_at_its_start_has_not_started(instance) -> None:
    with pytest.raises(GuestTrapped, match="at its start"):
        run(
            instance, EXIT, MEMORY, "(func $early i32.const 0 call $exit) (start $early)", start("")
        )


def test_imports_that_there_are_not_are_refused_when_it_is_linked(instance) -> None:
    for name in ("none", "sock_bind"):
        imported = f'(import "wasi_snapshot_preview1" "{name}" (func))'
        with pytest.raises(InvalidModule):
            instance.linked(module(imported, MEMORY, start("")))
    assert run(instance, MEMORY, start("")) == 0


def test_memory_is_limited_from_the_start_and_when_it_grows(instance) -> None:
    with pytest.raises(GuestMemoryExceeded, match="raise memory_limit"):
        run(instance, '(memory (export "memory") 32)', start(""))


def test_memory_that_may_not_grow_is_refused_to_the_guest(instance) -> None:
    body = "(memory.grow (i32.const 16)) i32.const -1 i32.ne call $exit"
    assert run(instance, EXIT, MEMORY, start(body)) == 0


def test_an_error_of_ours_is_raised_as_it_is(said) -> None:
    class Refusing(nn.Host):
        def load(self, name: str, config: str = "") -> nn.Graph:
            raise ProtocolError("the host says no")

    instance = Instance(Functions(Refusing({}), lambda *_: None), said.append)
    body = "(i32.const 0) (i32.const 1) (i32.const 8) call $load call $exit"
    assert run(instance, EXIT, LOAD, MEMORY, start(body)) == 5
