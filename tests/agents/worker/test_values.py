"""Values of components: there and back, and what does not fit."""

from __future__ import annotations

import gc

import pytest
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from wasmtime import _ffi as ffi
from wasmtime.component import Component

from onecopy.agents.worker import world
from onecopy.agents.worker.engine import engine
from onecopy.agents.worker.kinds import signature, text
from onecopy.agents.worker.lowering import lowering
from onecopy.agents.worker.values import Err, Ok, Unfit, lift

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
# Each type as WAT writes it, as we write it, and values of it.
TYPES = {
    "bool": ("bool", "bool", st.booleans()),
    "u8": ("u8", "u8", st.integers(0, 255)),
    "s8": ("s8", "s8", st.integers(-128, 127)),
    "u16": ("u16", "u16", st.integers(0, 65535)),
    "s32": ("s32", "s32", st.integers(-(1 << 31), (1 << 31) - 1)),
    "u64": ("u64", "u64", st.integers(0, (1 << 64) - 1)),
    "f32": ("f32", "f32", st.floats(width=32, allow_nan=False)),
    "f64": ("f64", "f64", st.floats(allow_nan=False)),
    "string": ("string", "string", TEXT),
    "texts": ("(list string)", "list<string>", st.lists(TEXT, max_size=5)),
    "pairs": (
        "(list (tuple string u32))",
        "list<tuple<string, u32>>",
        st.lists(st.tuples(TEXT, st.integers(0, 9)).map(list), max_size=5),
    ),
    "option": ("(option string)", "option<string>", st.none() | TEXT),
    "result": (
        "(result string (error u8))",
        "result<string, u8>",
        TEXT.map(Ok) | st.integers(0, 255).map(Err),
    ),
    "nothing": ("(result)", "result<_, _>", st.sampled_from([Ok(), Err()])),
    "maybe": (
        "(result (option string) (error string))",
        "result<option<string>, string>",
        (st.none() | TEXT).map(Ok) | TEXT.map(Err),
    ),
    "tuple": ("(tuple u8 string)", "tuple<u8, string>", st.tuples(st.just(1), TEXT).map(list)),
}
NAMED = {
    "record": (
        '(record (field "a-b" string) (field "c" (option u8)))',
        "record{a-b: string, c: option<u8>}",
        st.fixed_dictionaries({"a-b": TEXT, "c": st.none() | st.integers(0, 255)}),
    ),
    "enum": ('(enum "one" "two")', "enum{one, two}", st.sampled_from(["one", "two"])),
    "variant": (
        '(variant (case "none") (case "some" string))',
        "variant{none: _, some: string}",
        st.just(("none", None)) | TEXT.map(lambda each: ("some", each)),
    ),
}
EVERY = {**TYPES, **NAMED}


def _component() -> Component:
    """Return a component with an import that has a function for each type."""
    named = "".join(
        f'(type ${name}_ {wat}) (export "{name}" (type ${name} (eq ${name}_)))'
        for name, (wat, _, _) in NAMED.items()
    )
    types = {name: wat for name, (wat, _, _) in TYPES.items()} | {n: f"${n}" for n in NAMED}
    functions = "".join(
        f'(export "take-{name}" (func (param "it" {wat})))' for name, wat in types.items()
    )
    wasm = wasmtime.wat2wasm(f'(component (import "all:types/all" (instance {named} {functions})))')
    return Component(engine(), bytes(wasm))


@pytest.fixture(scope="module")
def signatures():
    (imported,) = _component().type.imports(engine()).values()
    return dict(world.functions(imported))


@pytest.fixture(scope="module")
def store():
    return wasmtime.Store(engine())


def through(store, kind, value):
    """Put a value into a cell of C, and take it out again."""
    cell = ffi.wasmtime_component_val_t()
    lowering(kind)(store._context(), value, cell)
    found = lift(store._context(), cell)
    ffi.wasmtime_component_val_delete(cell)
    return found


@pytest.mark.parametrize("name", EVERY)
def test_values_come_back_as_they_went(signatures, store, name):
    ((_, kind),) = signatures[f"take-{name}"].params

    @settings(deadline=None, max_examples=30, database=None)
    @given(EVERY[name][2])
    def check(value):
        assert through(store, kind, value) == value

    check()


@pytest.mark.parametrize("name", EVERY)
def test_types_are_spelled_as_in_the_wit(signatures, name):
    expected = EVERY[name][1]
    assert text(signatures[f"take-{name}"].params[0][1]) == expected
    assert signature(signatures[f"take-{name}"]) == f"func(it: {expected})"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("u8", 256),
        ("u8", -1),
        ("s8", 128),
        ("u64", 1 << 64),
        ("string", b"bytes"),
        ("string", None),
        ("texts", "text"),
        ("texts", [1]),
        ("texts", None),
        ("pairs", [["one"]]),
        ("record", {"c": 1}),
        ("record", ["text", 1]),
        ("enum", "three"),
        ("enum", None),
        ("tuple", [1, "text", 2]),
        ("option", 1),
        ("result", Ok(1)),
        ("result", Err("text")),
    ],
)
def test_what_does_not_fit_is_told(signatures, store, name, value):
    ((_, kind),) = signatures[f"take-{name}"].params
    with pytest.raises(Unfit):
        through(store, kind, value)


def test_a_lone_surrogate_becomes_a_question_mark(signatures, store):
    ((_, kind),) = signatures["take-string"].params
    assert through(store, kind, "a\ud800") == "a?"


def test_lists_of_bytes_are_bytes():
    wat = '(component (import "a:b/c" (instance (export "f" (func (param "it" (list u8)))))))'
    component = Component(engine(), bytes(wasmtime.wat2wasm(wat)))
    (imported,) = component.type.imports(engine()).values()
    ((_, function),) = world.functions(imported)
    ((_, kind),) = function.params
    store = wasmtime.Store(engine())
    data = bytes(range(256)) * 100
    assert through(store, kind, data) == data
    assert through(store, kind, b"") == []
    gc.collect()
