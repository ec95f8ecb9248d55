"""Guests from source files: what tests of the SDK and of its compiler share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from onecopy.guests.instance.guest import Instance
from onecopy.guests.instance.host import Host
from onecopy.guests.wasm.module import compile_module

Write = Callable[..., Path]


def instance(wasm: bytes, host: Host | None = None) -> Instance:
    made = Instance(compile_module(wasm).load(), host)
    made.start(1)
    return made
