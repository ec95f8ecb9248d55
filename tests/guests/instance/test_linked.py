"""What wasmtime has of a guest."""

from __future__ import annotations

import pytest

from onecopy.errors import (
    GuestMemoryExceeded,
    GuestTimeout,
    GuestTrapped,
    InvalidArgument,
)
from onecopy.guests.instance.host import Host
from onecopy.guests.instance.linked import Linked
from onecopy.guests.wasm.raw import Trapped

GUEST = """
(module
  (import "onecopy" "config" (func $config (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (global (mut i32) (i32.const 5))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "ask") (result i32) (call $config (i32.const 0) (i32.const 0)))
  (func (export "trap") unreachable))
"""


@pytest.fixture
def linked(wat, compiled):
    linked = Linked(compiled(wat(GUEST)), Host(b"four"), 1 << 20, 1.0)
    yield linked
    linked.close()


def test_functions_are_found_and_prepared_once(linked: Linked) -> None:
    assert linked.functions() == ["add", "ask", "trap"]
    assert linked.prepared("add") is None
    export = linked.prepare("add")
    assert linked.prepared("add") is export
    assert export(2, 3) == 5


def test_a_function_that_is_not_there_is_named_with_those_that_are(linked: Linked) -> None:
    for name in ("absent", "memory"):
        with pytest.raises(InvalidArgument, match=f"'{name}'; it has add, ask, trap"):
            linked.prepare(name)


def test_globals_that_change_are_the_host_s_to_save(linked: Linked) -> None:
    (found,) = linked.mutable_globals()
    assert found.value(linked.store) == 5


def test_a_trap_is_the_guest_s_failure(linked: Linked) -> None:
    with pytest.raises(Trapped) as raised:
        linked.prepare("trap")()
    assert isinstance(linked.error(raised.value, 1.0), GuestTrapped)


def test_what_a_host_function_raised_comes_before_the_trap_and_once(linked: Linked) -> None:
    """The host was never told where the memory is: it refuses, and the guest traps."""
    with pytest.raises(Trapped) as raised:
        linked.prepare("ask")()
    assert "before it was ready" in str(linked.error(raised.value, 1.0))
    assert "before it was ready" not in str(linked.error(raised.value, 1.0))


def test_a_start_function_that_loops_is_cut_off(wat, compiled) -> None:
    text = '(module (memory (export "memory") 1) (func $f (loop (br 0))) (start $f))'
    with pytest.raises(GuestTimeout, match=r"5 ms; .*guest_ms="):
        Linked(compiled(wat(text)), Host(), 1 << 20, 0.005)


def test_a_module_that_starts_with_too_much_memory_is_told_the_limit(wat, compiled) -> None:
    module = compiled(wat('(module (memory (export "memory") 100))'))
    with pytest.raises(GuestMemoryExceeded, match="memory_limit"):
        Linked(module, Host(), 65536, 1.0)


def test_it_may_be_closed_twice(linked: Linked) -> None:
    linked.prepare("add")
    linked.close()
    linked.close()
    assert linked.prepared("add") is None
