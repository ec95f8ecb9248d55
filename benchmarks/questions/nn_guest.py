"""How soon has a guest its first answer of a model that is loaded, from the start of its module?"""

from __future__ import annotations

import subprocess
import time
from typing import Any

from benchmarks import models
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import Stage

# Loads a model by name, gives it (1, 3, 224, 224) numbers, computes, and reads the answer. Its exit
# status is the first error number.
GUEST = """
(module
  (import "wasi_ephemeral_nn" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "set_input" (func $set (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 16)
  (data (i32.const 16) "pool")
  (data (i32.const 32) "\\01\\00\\00\\00\\03\\00\\00\\00\\e0\\00\\00\\00\\e0\\00\\00\\00")
  (func $check (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func (export "_start")
    (i32.store (i32.const 64) (i32.const 32))
    (i32.store (i32.const 68) (i32.const 4))
    (i32.store8 (i32.const 72) (i32.const 1))
    (i32.store (i32.const 76) (i32.const 4096))
    (i32.store (i32.const 80) (i32.const 602112))
    (call $check (call $load (i32.const 16) (i32.const 4) (i32.const 0)))
    (call $check (call $init (i32.load (i32.const 0)) (i32.const 4)))
    (call $check (call $set (i32.load (i32.const 4)) (i32.const 0) (i32.const 64)))
    (call $check (call $compute (i32.load (i32.const 4))))
    (call $check (call $get (i32.load (i32.const 4)) (i32.const 0) (i32.const 128)
      (i32.const 1024) (i32.const 8)))
    (call $check (i32.ne (i32.load (i32.const 8)) (i32.const 12)))))
"""
GUESTS = 20  # of one round
PAUSE = 0.3  # in which the host gets the process of the next guest ready
OURS = "a guest, from start to exit"
FIRST = "the first one: nothing is compiled or ready"
now = time.perf_counter


def ask(stage: Stage) -> Answer:
    """Run guests one after another, which all use one model."""
    import torch
    import wasmtime

    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    wasm = bytes(wasmtime.wat2wasm(GUEST))
    table = Table("one inference of 0.6 MB by a guest of its own", "ms", ours=OURS)
    with models.host(stage, {"pool": module}) as host, host.load("pool"):
        table.put_row(FIRST, "time", Summary.of([_run(host, wasm)], 1e3))
        times = []
        for _ in range(stage.scale.rounds * GUESTS):
            time.sleep(PAUSE)
            times.append(_run(host, wasm))
        table.put_row(OURS, "time", Summary.of(times, 1e3))
    took = table.rows[OURS]["time"].median
    work = "a guest's inference on a loaded model, from module start to exit"
    return Answer("nn_guest", [table], [Target(work, 5, took, "ms")])


def _run(host: Any, wasm: bytes) -> float:
    begin = now()
    status = host.run(wasm, stdin=subprocess.DEVNULL)
    took = now() - begin
    if status:
        raise RuntimeError(f"the guest ended with {status}")
    return took
