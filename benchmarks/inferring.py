"""A guest that asks its host for one inference, as text of WebAssembly."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Sequence

# It looks at the clock, loads a model by name, gives it numbers, computes, gets the answer, looks
# at the clock again, writes the first of the answer and both times to its standard output, and
# waits for the end of its standard input. Its exit status is the first error.
_TEXT = """
(module
  (import "wasi_ephemeral_nn" "load_by_name" (func $load (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "init_execution_context" (func $init (param i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "set_input" (func $set (param i32 i32 i32) (result i32)))
  (import "wasi_ephemeral_nn" "compute" (func $compute (param i32) (result i32)))
  (import "wasi_ephemeral_nn" "get_output"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") {pages})
  (data (i32.const 16) "{name}")
  (data (i32.const 64) "{shape}")
  (func $check (param i32) (if (local.get 0) (then (call $exit (local.get 0)))))
  (func (export "_start")
    (call $check (call $clock (i32.const 1) (i64.const 1) (i32.const 168)))
    (i32.store (i32.const 128) (i32.const 64))
    (i32.store (i32.const 132) (i32.const {dimensions}))
    (i32.store8 (i32.const 136) (i32.const 1))
    (i32.store (i32.const 140) (i32.const 65536))
    (i32.store (i32.const 144) (i32.const {nbytes}))
    (call $check (call $load (i32.const 16) (i32.const {length}) (i32.const 0)))
    (call $check (call $init (i32.load (i32.const 0)) (i32.const 4)))
    (call $check (call $set (i32.load (i32.const 4)) (i32.const 0) (i32.const 128)))
    (call $check (call $compute (i32.load (i32.const 4))))
    (call $check (call $get (i32.load (i32.const 4)) (i32.const 0) (i32.const 65536)
      (i32.const {nbytes}) (i32.const 8)))
    (call $check (call $clock (i32.const 1) (i64.const 1) (i32.const 176)))
    (i32.store (i32.const 160) (i32.load (i32.const 65536)))
    (i32.store (i32.const 148) (i32.const 160))
    (i32.store (i32.const 152) (i32.const 24))
    (call $check (call $write (i32.const 1) (i32.const 148) (i32.const 1) (i32.const 12)))
    (call $check (call $read (i32.const 0) (i32.const 148) (i32.const 1) (i32.const 12)))))
"""
_ANSWER = struct.Struct("<f4xQQ")


def answer(fd: int) -> bytes:
    """Return what a guest writes, which comes in pieces if a byte of it looks like a newline."""
    data = b""
    while len(data) < _ANSWER.size:
        piece = os.read(fd, _ANSWER.size - len(data))
        if not piece:
            raise RuntimeError("a guest ended without an answer")
        data += piece
    return data


def seconds(answer: bytes) -> float:
    """Return the seconds from a guest's first instruction to its answer, by its own clock."""
    _, begin, end = _ANSWER.unpack(answer)
    return float(end - begin) / 1e9


def guest(name: str, shape: Sequence[int]) -> bytes:
    """Return a guest in Wasm that gives a model zeros of a shape; its answer may be as large."""
    import wasmtime

    nbytes = 4 * math.prod(shape)
    packed = b"".join(each.to_bytes(4, "little") for each in shape)
    text = _TEXT.format(
        name=name,
        length=len(name),
        shape="".join(f"\\{byte:02x}" for byte in packed),
        dimensions=len(shape),
        nbytes=nbytes,
        pages=2 + nbytes // 65536,
    )
    return bytes(wasmtime.wat2wasm(text))
