"""What a guest costs in the process that it lives in, measured in a process of its own.

Run by the benchmark as ``python -m benchmarks.instances BYTES ROUNDS``; prints one JSON object.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
import wasmtime

import onecopy
from benchmarks.procfs import pss
from onecopy import guests
from onecopy.guests.instance.guest import Instance
from onecopy.guests.wasm.module import compile_module
from onecopy.guests.windows.window import prepare

GUESTS = 64
VOCABULARY = 1_500_000
CALLS = 1000
EPOCHS = 1 << 40
now = time.perf_counter

# `calls` makes as many host calls; `sum` adds up the 64-bit words of a range, 64 bytes at a time.
GUEST = """(module
  (import "onecopy" "control" (func $control (result i32)))
  (memory (export "memory") 1)
  (func (export "nothing"))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "calls") (param $n i32)
    (loop $again
      (drop (call $control))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  (func (export "sum") (param $at i32) (param $nbytes i32) (result i64)
    (local $end i32) (local $a v128) (local $b v128)
    (local.set $end (i32.add (local.get $at) (local.get $nbytes)))
    (loop $again
      (local.set $a (i64x2.add (local.get $a) (i64x2.add
        (v128.load (local.get $at)) (v128.load offset=16 (local.get $at)))))
      (local.set $b (i64x2.add (local.get $b) (i64x2.add
        (v128.load offset=32 (local.get $at)) (v128.load offset=48 (local.get $at)))))
      (br_if $again (i32.lt_u
        (local.tee $at (i32.add (local.get $at) (i32.const 64))) (local.get $end))))
    (local.set $a (i64x2.add (local.get $a) (local.get $b)))
    (i64.add (i64x2.extract_lane 0 (local.get $a)) (i64x2.extract_lane 1 (local.get $a)))))"""

Times = list[float]


def main() -> None:
    """Measure, and print what was found."""
    nbytes, rounds = int(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    prepare()
    wasm = bytes(wasmtime.wat2wasm(GUEST))
    with onecopy.start("instances", capacity=nbytes + (64 << 20)) as store:
        store.save("table", torch.ones(VOCABULARY, dtype=torch.uint8), align=4096)
        store.save("large", torch.ones(nbytes // 8, dtype=torch.int64), align=4096)
        found = {
            "calls": _calls(wasm, store, rounds),
            "new": _new(wasm, store, rounds),
            "memory": _memory(wasm, store),
            "large": _large(wasm, store, rounds),
        }
    sys.stdout.write(json.dumps(found))


def _calls(wasm: bytes, store: onecopy.Store, rounds: int) -> dict[str, Times]:
    """Seconds of one call of each kind."""
    with Instance(compile_module(wasm).load()) as guest:
        nothing, add, calls = (guest.export(name) for name in ("nothing", "add", "calls"))
        kinds: dict[str, Callable[[], Any]] = {
            "host to guest, in a batch": lambda: guest.run(nothing, EPOCHS),
            "host to guest, with two numbers": lambda: guest.invoke(add, 1, 2),
        }
        found = {kind: [_each(call) for _ in range(20 * rounds)] for kind, call in kinds.items()}
        guest.open_window("table", store.ref("table"))
        found["the same, with a window that it has read"] = [
            _each(lambda: guest.invoke(add, 1, 2)) for _ in range(20 * rounds)
        ]
        found["guest to host"] = [_from_guest(guest, calls) for _ in range(20 * rounds)]
    return found


def _each(call: Callable[[], Any]) -> float:
    begin = now()
    for _ in range(CALLS):
        call()
    return (now() - begin) / CALLS


def _from_guest(guest: Instance, calls: Any) -> float:
    begin = now()
    guest.invoke(calls, CALLS)
    return (now() - begin) / CALLS


def _new(wasm: bytes, store: onecopy.Store, rounds: int) -> dict[str, Times]:
    """Seconds until a guest is there whose module is in the cache, and what its parts take."""
    rows = guests.buffer(2, 50257, store=store)
    found: dict[str, Times] = {"from Wasm, with 4 windows": [], "from its module": []}
    for _ in range(40 * rounds):
        with guests.source_of(store.ref("table")) as table, guests.source_of(rows[1], "rw") as row:
            begin = now()
            module = compile_module(wasm).load()
            loaded = now()
            with Instance(module) as guest:
                guest.start()
                ready = now()
                guest.open_window("vocab", table)
                guest.open_window("row", row)
                guest.open_window("x", table)
                guest.open_window("y", table)
                found["from Wasm, with 4 windows"].append(now() - begin)
                found["from its module"].append(ready - loaded)
    sources = [_each_source(store), *(_each_source(store) for _ in range(rounds))]
    return found | {"what a window shows: source_of(ref)": sources[1:]}


def _each_source(store: onecopy.Store) -> float:
    begin = now()
    for _ in range(100):
        guests.source_of(store.ref("table")).close()
    return (now() - begin) / 100


def _memory(wasm: bytes, store: onecopy.Store) -> dict[str, int]:
    """Bytes of memory that so many guests take which have all read the same table."""
    module = compile_module(wasm).load()

    def added(copy: bool) -> int:
        gc.collect()
        before = pss([os.getpid()])
        with ExitStack() as stack:
            for _ in range(GUESTS):
                guest = stack.enter_context(Instance(module))
                value = guests.copy_of(store.ref("table")) if copy else store.ref("table")
                window = guest.open_window("vocab", value)
                guest.call("sum", window.address, VOCABULARY)
            return pss([os.getpid()]) - before

    added(copy=False)
    return {"windows": added(copy=False), "copies": added(copy=True)}


def _large(wasm: bytes, store: onecopy.Store, rounds: int) -> dict[str, Times]:
    """Seconds to give a guest a large tensor, and to read all of it once; and the host's."""
    module = compile_module(wasm).load()
    kinds = ("mapped", "mapped, the first time", "read by the guest", "read by the host", "copied")
    found: dict[str, Times] = {kind: [] for kind in kinds}
    with guests.source_of(store.ref("large")) as source:
        for _ in range(20 * rounds):
            first, again = _mapped(module, source)
            found["mapped, the first time"].append(first)
            found["mapped"].append(again)
        for _ in range(rounds):
            with Instance(module) as guest:
                begin = now()
                window = guest.open_window("x", source)
                guest.invoke(guest.export("sum"), window.address, window.nbytes)
                found["read by the guest"].append(now() - begin)
            begin = now()
            store.load("large", mode="private").sum()
            found["read by the host"].append(now() - begin)
            with Instance(module) as guest:
                begin = now()
                guest.open_window("x", guests.copy_of(store.ref("large")))
                found["copied"].append(now() - begin)
    return found


def _mapped(module: wasmtime.Module, source: guests.Source) -> Times:
    """The first time the guest's memory grows for it; then there is room."""
    times = []
    with Instance(module) as guest:
        for _ in range(2):
            begin = now()
            guest.open_window("x", source)
            times.append(now() - begin)
            guest.close_window("x")
    return times


if __name__ == "__main__":
    main()
