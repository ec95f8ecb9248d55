"""The engine's settings, and the time that deadlines count in."""

from __future__ import annotations

import threading

import pytest
import wasmtime
from hypothesis import given
from hypothesis import strategies as st

from onecopy.guests.instance.guest import Instance
from onecopy.guests.wasm.engine import (
    SETTINGS,
    SLOWEST,
    TICK_SECONDS,
    Meter,
    Sleeper,
    Ticker,
    engine,
    ticks,
)
from tests.processes import output_of


def test_there_is_one_engine():
    assert engine() is engine()


@pytest.mark.parametrize(
    "body",
    [
        '(memory (export "memory") i64 1)',
        "(memory 1) (memory 1)",
        "(memory 1 2 shared)",
        "(tag)",
        "(type (struct (field i32)))",
    ],
)
def test_what_would_undermine_the_host_does_not_compile(wat, body):
    with pytest.raises(wasmtime.WasmtimeError):
        wasmtime.Module(engine(), wat(f"(module {body})"))


def test_nans_are_the_same_on_every_machine(wat, compiled):
    text = """(module (memory (export "memory") 1)
        (func (export "f") (param f64 f64) (result i64)
          (i64.reinterpret_f64 (f64.div (local.get 0) (local.get 1)))))"""
    with Instance(compiled(wat(text))) as guest:
        assert guest.call("f", 0.0, 0.0) == 0x7FF8000000000000


def test_no_time_is_too_short_and_none_is_rounded_down():
    assert ticks(0) == 1
    assert ticks(0.0005) == 2
    assert ticks(0.0104) == 21


def test_epochs_follow_the_time_that_the_process_had_a_processor():
    used = 0.0
    meter = Meter(lambda: used)
    meter.start()

    def epochs(*share: float) -> list[bool]:
        """What it says in some ticks, in which the process had these shares of a processor."""
        nonlocal used
        found = []
        for each in share:
            used += each * TICK_SECONDS
            found.append(meter.passed())
        return found

    assert epochs(1, 1, 1) == [True] * 3
    assert epochs(0.5, 0.5, 0.5, 0.5) == [False, True] * 2
    # One that has nothing, as if it waited for a file, does not hold up others for ever.
    assert epochs(*[0] * 2 * SLOWEST) == ([False] * (SLOWEST - 1) + [True]) * 2
    # What others used long ago is not held against a guest that is called now.
    assert epochs(100, 0.1, 0.1, 0.1) == [True, True, False, False]


@given(st.lists(st.floats(0.6, 3), min_size=1, max_size=60))
def test_no_guest_is_cut_off_early(shares: list[float]):
    used = 0.0
    meter = Meter(lambda: used)
    meter.start()
    meter.passed()
    passed = 0
    for each in shares:
        used += each * TICK_SECONDS
        passed += meter.passed()
    assert ticks(used) >= passed


def test_time_passes_only_while_somebody_has_a_deadline(wat):
    """A loop is stopped inside the block; outside, the thread waits."""
    ticker = Ticker(Sleeper())
    store = wasmtime.Store(engine())
    text = '(module (func (export "f") (loop (br 0))))'
    instance = wasmtime.Instance(store, wasmtime.Module(engine(), wat(text)), [])
    function = instance.exports(store)["f"]
    for _ in range(2):
        with ticker.running(), ticker.running():
            store.set_epoch_deadline(ticks(0.01))
            with pytest.raises(wasmtime.Trap) as raised:
                function(store)
        assert raised.value.trap_code == wasmtime.TrapCode.INTERRUPT
    threads = [each for each in threading.enumerate() if each.name == "epochs"]
    assert all(each.daemon for each in threads)
    assert ticker._users == 0


def test_importing_guests_starts_and_loads_nothing():
    program = """
        import sys, threading
        from onecopy import guests
        dir(guests)
        heavy = {"torch", "numpy", "wasmtime", "llguidance"} & set(sys.modules)
        print(sorted(heavy), threading.active_count())
    """
    assert output_of(program) == "[] 1"


def test_every_setting_is_one_that_wasmtime_knows():
    config = wasmtime.Config()
    assert all(hasattr(type(config), name) for name in SETTINGS)
