"""Functions of the host for components: lists of bytes go through unchanged."""

from __future__ import annotations

import functools

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime.component import Component, Linker

from onecopy.guests.instance.linked import FOREVER
from onecopy.guests.wasm.engine import engine
from onecopy.nn.guest.component_calls import add_function

# A component that passes on to the host what its caller passes to it, and back.
ECHO = """
(component
  (import "host" (instance $host
    (export "one" (func (param "data" (list u8)) (result (list u8))))
    (export "many" (func (param "parts" (list (list u8))) (param "name" string)
      (result (list u8))))))
  (core module $memory
    (memory (export "memory") 1)
    (global $top (mut i32) (i32.const 64))
    (func (export "realloc") (param i32 i32 i32) (param $size i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
      (global.set $top (i32.add (local.get $at) (local.get $size)))
      (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
        (then (drop (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16))
          (i32.const 1))))))
      (local.get $at)))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  (core func $one (canon lower (func $host "one") (memory $mem) (realloc $realloc)))
  (core func $many (canon lower (func $host "many") (memory $mem) (realloc $realloc)))
  (core module $guest
    (import "host" "one" (func $one (param i32 i32 i32)))
    (import "host" "many" (func $many (param i32 i32 i32 i32 i32)))
    (func (export "one") (param i32 i32) (result i32)
      (call $one (local.get 0) (local.get 1) (i32.const 16))
      (i32.const 16))
    (func (export "many") (param i32 i32 i32 i32) (result i32)
      (call $many (local.get 0) (local.get 1) (local.get 2) (local.get 3) (i32.const 16))
      (i32.const 16)))
  (core instance $guest (instantiate $guest
    (with "host" (instance (export "one" (func $one)) (export "many" (func $many))))))
  (func (export "one") (param "data" (list u8)) (result (list u8))
    (canon lift (core func $guest "one") (memory $mem) (realloc $realloc)))
  (func (export "many") (param "parts" (list (list u8))) (param "name" string) (result (list u8))
    (canon lift (core func $guest "many") (memory $mem) (realloc $realloc))))
"""


@functools.cache
def echo() -> Component:
    return Component(engine(), ECHO)


class Passed:
    """An instance of the component, with functions of the host that return what they are told."""

    def __init__(self, one=lambda _, data: data, many=lambda *_: b"") -> None:
        linker = Linker(engine())
        with linker.root() as root, root.add_instance("host") as instance:
            add_function(instance, "one", one)
            add_function(instance, "many", many)
        self._store = wasmtime.Store(engine())
        self._store.set_epoch_deadline(FOREVER)
        self._instance = linker.instantiate(self._store, echo())

    def __call__(self, name: str, *arguments):
        return self._instance.get_func(self._store, name)(self._store, *arguments)


@settings(max_examples=30, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes_go_to_the_host_and_back(data: bytes) -> None:
    seen = []
    assert Passed(one=lambda _, given: seen.append(given) or given)("one", data) == data
    assert seen == [data]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.binary(max_size=300), max_size=8), st.text(max_size=20))
def test_lists_of_bytes_come_with_other_arguments(parts: list[bytes], name: str) -> None:
    seen = []

    def many(_, parts, name):
        seen.append((parts, name))
        return b"".join(parts)

    assert Passed(many=many)("many", parts, name) == b"".join(parts)
    assert seen == [(parts, name)]


@pytest.mark.parametrize("result", [bytearray(b"abc"), memoryview(b"xabc")[1:], b"abc"])
def test_anything_with_bytes_can_be_returned(result) -> None:
    assert Passed(one=lambda *_: result)("one", b"") == b"abc"


def test_what_a_function_raises_comes_out_of_the_call() -> None:
    def fail(*_):
        raise LookupError("not here")

    with pytest.raises(LookupError, match="not here"):
        Passed(one=fail)("one", b"abc")


def test_a_result_without_bytes_is_an_error_of_the_host() -> None:
    with pytest.raises(TypeError):
        Passed(one=lambda *_: "text")("one", b"abc")
