"""Prepared calls: numbers in both directions, traps and exceptions."""

from __future__ import annotations

import math

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import InvalidModule
from onecopy.guests.wasm.engine import engine
from onecopy.guests.wasm.raw import Export, HostFunction, Trapped, check_signature

KINDS = ("i32", "i64", "f32", "f64")


def instance(wat, text: str, *imports: wasmtime.Func, store: wasmtime.Store | None = None):
    store = store or wasmtime.Store(engine())
    store.set_epoch_deadline(1 << 60)
    made = wasmtime.Instance(store, wasmtime.Module(engine(), wat(text)), list(imports))
    exports = made.exports(store)
    return {name: Export(store, name, exports[name]) for name in exports}


@pytest.fixture(scope="module")
def echoes(wat):
    functions = (
        f'(func (export "{kind}") (param {kind}) (result {kind}) (local.get 0))' for kind in KINDS
    )
    return instance(wat, f"(module {' '.join(functions)})")


@given(st.integers(-(2**31), 2**31 - 1))
def test_small_integers_come_back(echoes, value):
    assert echoes["i32"](value) == value
    assert echoes["i32"](value + 2**32) == value


@given(st.integers(-(2**63), 2**63 - 1))
def test_large_integers_come_back(echoes, value):
    assert echoes["i64"](value) == value


@given(st.floats(width=32), st.floats())
def test_floats_come_back(echoes, single, double):
    for name, value in (("f32", single), ("f64", double)):
        found = echoes[name](value)
        assert found == value or (math.isnan(found) and math.isnan(value))


def test_sixteen_arguments_arrive_in_order(wat):
    sums = " ".join(f"(i64.mul (i64.const {10**i}) (local.get {i})) i64.add" for i in range(16))
    text = f'(module (func (export "f") (param {"i64 " * 16}) (result i64) (i64.const 0) {sums}))'
    call = instance(wat, text)["f"]
    assert call.arity == 16
    assert call(*[1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7]) == 7654321987654321


def test_a_function_without_result_returns_none(wat):
    assert instance(wat, '(module (func (export "f")))')["f"]() is None


def test_a_wrong_number_of_arguments_is_an_error(echoes):
    with pytest.raises(TypeError, match="i32 takes 1 arguments, not 2"):
        echoes["i32"](1, 2)


def test_a_trap_is_raised_and_the_next_call_works(wat):
    text = '(module (func (export "f") (param i32) (if (local.get 0) (then unreachable))))'
    call = instance(wat, text)["f"]
    for _ in range(3):
        with pytest.raises(Trapped, match="unreachable") as raised:
            call(1)
        assert raised.value.cause.trap_code == wasmtime.TrapCode.UNREACHABLE
        assert call(0) is None


def test_signatures_that_cannot_be_handed_over_are_refused(wat):
    for params, results in ((["i32"] * 17, []), ([], ["i32", "i32"]), (["externref"], [])):
        with pytest.raises(InvalidModule, match="pass the rest in memory"):
            check_signature("f", params, results)
    with pytest.raises(InvalidModule, match=r"f has the signature \(\) -> \(i32, i32\)"):
        instance(wat, '(module (func (export "f") (result i32 i32) i32.const 1 i32.const 2))')


class TestHostFunctions:
    def calling(self, wat, kinds, result, function, failed=lambda _: None):
        store = wasmtime.Store(engine())
        host = HostFunction(store, (kinds, [result] if result else []), function, failed)
        arguments = " ".join(f"(local.get {i})" for i in range(len(kinds)))
        params = f"(param {' '.join(kinds)})" if kinds else ""
        answer = f"(result {result})" if result else ""
        text = f"""(module (import "h" "h" (func $h {params} {answer}))
            (func (export "f") {params} {answer} (call $h {arguments})))"""
        export = instance(wat, text, host.function, store=store)["f"]
        return export, host

    def test_addresses_and_sizes_arrive_unsigned_and_offsets_signed(self, wat):
        seen = []
        call, _host = self.calling(
            wat, ["i32", "i64", "f32", "f64"], "i32", lambda *a: seen.append(a) or 5
        )
        assert call(-1, -1, 0.5, -0.25) == 5
        assert seen == [(2**32 - 1, -1, 0.5, -0.25)]

    def test_negative_results_arrive(self, wat):
        for kind in ("i32", "i64"):
            call, _host = self.calling(wat, [], kind, lambda: -6)
            assert call() == -6

    def test_an_exception_traps_the_guest_and_is_handed_over(self, wat):
        failures = []

        def fail(_: int) -> int:
            raise ValueError("no")

        call, _host = self.calling(wat, ["i32"], "i32", fail, failures.append)
        with pytest.raises(Trapped, match="the host ended the call"):
            call(1)
        assert [str(each) for each in failures] == ["no"]

    def test_even_an_interrupt_does_not_pass_through_the_guest(self, wat):
        failures = []

        def interrupt() -> None:
            raise KeyboardInterrupt

        call, _host = self.calling(wat, [], None, interrupt, failures.append)
        with pytest.raises(Trapped):
            call()
        assert isinstance(failures[0], KeyboardInterrupt)

    def test_a_result_that_is_no_number_traps_too(self, wat):
        failures = []
        call, _host = self.calling(wat, [], "i32", lambda: "text", failures.append)
        with pytest.raises(Trapped):
            call()
        assert isinstance(failures[0], TypeError)
