"""What a guest offers to be called."""

from __future__ import annotations

import pytest
import wasmtime

from onecopy.cli.guests_functions import numbers, signatures
from onecopy.errors import InvalidArgument
from onecopy.guests.wasm.engine import engine

GUEST = """(module (memory (export "memory") 1)
  (func (export "onecopy_abi") (param i32) (result i32) (local.get 0))
  (func (export "_initialize"))
  (func (export "mix") (param i32 f64) (result i64) (i64.const 0))
  (func (export "rest")))"""


@pytest.fixture(scope="module")
def module() -> wasmtime.Module:
    return wasmtime.Module(engine(), GUEST)


def test_signatures_are_of_what_users_call(module: wasmtime.Module) -> None:
    assert signatures(module) == ["mix(i32, f64) -> i64", "rest()"]


def test_texts_become_the_numbers_that_a_function_takes(module: wasmtime.Module) -> None:
    assert numbers("mix", module, ["0x10", "1e3"]) == [16, 1000.0]
    assert numbers("rest", module, []) == []


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("absent", [], r"its functions: mix\(i32, f64\) -> i64, rest\(\)"),
        ("_initialize", [], "no function"),
        ("mix", ["1"], "takes 2 arguments, and got 1"),
        ("mix", ["1.5", "2"], "not an integer"),
        ("mix", ["1", "two"], "not a number"),
    ],
)
def test_what_does_not_fit_is_told_with_what_does(
    module: wasmtime.Module, name: str, arguments: list[str], text: str
) -> None:
    with pytest.raises(InvalidArgument, match=text):
        numbers(name, module, arguments)


def test_a_guest_without_functions_gets_advice() -> None:
    with pytest.raises(InvalidArgument, match="OC_EXPORT"):
        numbers("f", wasmtime.Module(engine(), "(module)"), [])
