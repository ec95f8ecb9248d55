"""Deadlines kept by signals; in processes of their own, since SIGALRM belongs to pytest here."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from onecopy import native
from onecopy.guests.workers.pool import Pool
from tests.guests.probing import WITH_PROBE, probe
from tests.processes import output_of

needs_library = pytest.mark.skipif(not native.find(), reason="the C library was not built")

GUEST = """
import wasmtime
from onecopy.guests.wasm.alarm import Alarm, keep_time_here
from onecopy.guests.wasm.engine import engine, ticker, ticks

TEXT = '''(module
  (func (export "loop") (loop (br 0)))
  (func (export "count") (param i32)
    (loop (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))'''
store = wasmtime.Store(engine())
guest = wasmtime.Instance(store, wasmtime.Module(engine(), TEXT), []).exports(store)

def loop(seconds):
    store.set_epoch_deadline(ticks(seconds))
    try:
        guest["loop"](store)
    except wasmtime.Trap as trap:
        return trap.trap_code.name
"""


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    with Pool(services=WITH_PROBE, cache=tmp_path_factory.mktemp("modules")) as pool:
        yield pool


def found(program: str) -> str:
    return output_of(f"{GUEST}\n{program}")


@needs_library
def test_a_loop_ends_without_another_thread():
    program = """
import threading
keep_time_here()
with ticker.running():
    print(loop(0.005), loop(0), threading.active_count(), type(ticker.clock).__name__)
"""
    assert found(program) == "INTERRUPT INTERRUPT 1 Alarm"


@needs_library
def test_no_time_passes_while_it_is_stopped():
    """The loop takes many times its deadline; one signal may have been on its way."""
    program = """
alarm = Alarm()
alarm.start()
loop(0)
alarm.stop()
store.set_epoch_deadline(2)
print(guest["count"](store, 100_000_000))
"""
    assert found(program) == "None"


@needs_library
def test_a_loop_in_another_thread_ends_too():
    program = """
import threading
keep_time_here()
with ticker.running():
    thread = threading.Thread(target=lambda: print(loop(0.005)))
    thread.start()
    thread.join()
"""
    assert found(program) == "INTERRUPT"


@needs_library
def test_what_it_interrupts_goes_on():
    program = """
import os, select, threading, time
keep_time_here()
reader, writer = os.pipe()
with ticker.running():
    time.sleep(0.02)
    print(select.poll().poll(20))
    threading.Timer(0.02, os.write, (writer, b"said")).start()
    print(os.read(reader, 4))
"""
    assert found(program) == "[]\nb'said'"


@needs_library
def test_it_works_where_the_signal_was_blocked():
    program = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
keep_time_here()
with ticker.running():
    print(loop(0.005))
"""
    assert found(program) == "INTERRUPT"


def test_without_the_library_a_thread_keeps_the_time():
    program = """
import onecopy.native
onecopy.native._PATH = onecopy.native._PATH.with_name("missing.so")
keep_time_here()
with ticker.running():
    print(loop(0.005), type(ticker.clock).__name__)
"""
    assert found(program) == "INTERRUPT Sleeper"


@needs_library
def test_workers_keep_their_time_by_it(pool: Pool):
    code = """
        from onecopy.guests.wasm.engine import ticker
        worker.keep_time()
        found = type(ticker.clock).__name__
    """
    assert probe(pool.workers[0], code) == "Alarm"
