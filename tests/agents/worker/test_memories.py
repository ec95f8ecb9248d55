"""All linear memories of a component keep one limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.agents.worker.engine import engine
from onecopy.agents.worker.limits import Limits
from onecopy.agents.worker.memories import MOST, Share, share

PAGE = 1 << 16
LIMIT = 20 * PAGE
GROWING = '(memory (export "m") 1) (func (export "f") (drop (memory.grow (i32.const 1))))'
STILL = '(memory (export "m") 1)'


def wasm(*fields: str) -> bytes:
    import wasmtime

    return bytes(wasmtime.wat2wasm(f"(component {' '.join(fields)})"))


def shared(*fields: str) -> Share:
    return share(wasm(*fields), LIMIT)


def made(module: str, count: int = 1, name: str = "M") -> str:
    instances = "".join(f"(core instance (instantiate ${name}))" for _ in range(count))
    return f"(core module ${name} {module}) {instances}"


def test_one_has_all():
    assert shared(made(GROWING)) == (1, LIMIT)


def test_those_that_grow_have_equal_shares():
    assert shared(made(GROWING, 2)) == (2, LIMIT // 2)
    assert shared(made(GROWING), made(GROWING, name="N")) == (2, LIMIT // 2)
    two = "(memory 1) (memory 1) (func (drop (memory.grow 1 (i32.const 1))))"
    assert shared(made(two)) == (2, LIMIT // 2)


def test_those_that_cannot_grow_count_as_they_are():
    assert shared(made(STILL)) == (1, LIMIT)
    bounded = GROWING.replace(" 1)", " 1 3)", 1)
    assert shared(made(GROWING), made(bounded, name="N")) == (2, LIMIT - 3 * PAGE)


def test_memories_grow_only_within_their_component():
    nested = f"(component $C {made(STILL)}) (instance (instantiate $C))"
    assert shared(made(GROWING), nested) == (2, LIMIT - PAGE)
    grown = f"(component $C {made(STILL)} {made(GROWING, 0, 'N')}) (instance (instantiate $C))"
    assert shared(made(GROWING), grown) == (2, LIMIT // 2)


def test_only_what_is_instantiated_counts_and_as_often_as_it_is():
    assert shared(made(GROWING), made(GROWING, 0, "N")) == (1, LIMIT)
    twice = (
        f"(component $C {made(GROWING, 2)}) (instance (instantiate $C)) (instance (instantiate $C))"
    )
    assert shared(twice) == (4, LIMIT // 4)


def test_none_needs_nothing():
    assert shared("(core module)") == (0, LIMIT)


@pytest.mark.parametrize(
    "fields",
    [
        "(component $C (import \"m\" (core module))) ",
        "(core module $X) (component $C (alias outer 1 $X (core module $N))"
        " (core instance (instantiate $N)))",
        "(component $A) (component $C (alias outer 1 $A (component $B)))",
    ],
)  # fmt: skip
def test_what_comes_from_elsewhere_may_be_the_most_that_there_are(fields):
    assert shared(fields, made(GROWING)) == (MOST, LIMIT // MOST)


@pytest.mark.parametrize("length", range(8, 200, 7))
def test_what_is_cut_short_is_not_trusted(length):
    whole = wasm(made(GROWING, 2), made(STILL, name="N"))
    assert share(whole[:length], LIMIT).nbytes * share(whole[:length], LIMIT).memories <= LIMIT


def test_guests_of_the_sdk_have_all_of_their_limit(probe: Path, python_agent: Path):
    assert share(python_agent.read_bytes(), LIMIT) == (1, LIMIT)
    assert share(probe.read_bytes(), LIMIT) == (2, LIMIT)


@pytest.mark.parametrize(("pages", "fits"), [(9, True), (10, False)])
def test_the_sum_is_kept_when_they_grow(pages, fits):
    import wasmtime
    from wasmtime.component import Component, Linker

    grow = f"(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then unreachable))"
    code = wasm(made(f"(memory 1) (func $f {grow}) (start $f)", 2))
    limits = Limits(memory=LIMIT).shared(code)
    store = wasmtime.Store(engine())
    store.set_limits(memory_size=limits.each, memories=limits.memories)
    store.set_epoch_deadline(1)
    linker, component = Linker(engine()), Component(engine(), code)
    try:
        if fits:
            linker.instantiate(store, component)
        else:
            with pytest.raises(wasmtime.WasmtimeError, match="unreachable"):
                linker.instantiate(store, component)
    finally:
        store.close()
