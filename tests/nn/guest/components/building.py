"""Components for tests: C, built from the specification's WIT by hand (world.wat)."""

from __future__ import annotations

import functools
from pathlib import Path

from onecopy.guests.toolchain import build

HERE = Path(__file__).parent
_EMPTY = b"\1\x08\0asm\1\0\0\0"
"""The section of a component that is an empty core module."""


@functools.cache
def component(name: str, *defines: str) -> bytes:
    """Return a component made of one of the C files here."""
    import wasmtime

    flags = ("-Wl,--import-memory", "-I", str(HERE), *(f"-D{each}" for each in defines))
    core = build(HERE / f"{name}.c", flags=flags)
    world = bytes(wasmtime.wat2wasm((HERE / "world.wat").read_text()))
    # The text format has no way to include a module that is compiled already.
    assert world.count(_EMPTY) == 1
    return world.replace(_EMPTY, b"\1" + _leb(len(core)) + core)


def _leb(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])
