"""Compiling the component of an agent: once per machine, in a process of its own.

What is compiled is kept as the modules of guests are, see `onecopy.guests.wasm.module`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.agents.worker import world
from onecopy.agents.worker.engine import SETTINGS, engine
from onecopy.errors import InvalidModule
from onecopy.guests.wasm.module import compile_module, read_wasm
from onecopy.nn.guest.component import MAGIC, is_component

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from wasmtime.component import Component

    from onecopy.guests.wasm.module import Module

_SECONDS: Final = 300
"""Some seconds of a processor for a Python agent, which a busy machine may not have at once."""


def compile_component(source: bytes | os.PathLike[str] | str, cache: Path | None = None) -> Module:
    """Compile a component, as bytes or a file's path; one that was met before is only read.

    Raises:
        InvalidModule: it is no component, no agent, imports what no agent gets, or does not
            compile; the text says which.
        AccessDenied: the folder of compiled modules belongs to, or is open to, others.
    """
    wasm = read_wasm(source)
    if not is_component(wasm):
        raise InvalidModule(
            "this is no WebAssembly component; build one with `onecopy agent build` "
            "(modules are for `onecopy guest`)"
        )
    return compile_module(wasm, cache, __name__, MAGIC, SETTINGS, _SECONDS)


def compiled(wasm: bytes) -> Component:
    """Compile and check a component, in the compiler's process; see `compile_module`."""
    from wasmtime.component import Component

    from onecopy.agents.worker.linking import link
    from onecopy.agents.worker.values import Unfit

    component = Component(engine(), wasm)
    world.check(component)
    try:
        link(component)
    except Unfit as unfit:
        raise InvalidModule(f"the component imports a function that needs {unfit}") from None
    return component
