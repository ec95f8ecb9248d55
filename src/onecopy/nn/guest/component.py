"""Components of WASI preview 2 that are commands and may import `wasi:nn`.

They run as modules do: in a process of their own, with preopened folders, arguments and a store
whose limits are the caller's. docs/nn.md says where wasmtime's Python API ends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from onecopy.errors import InvalidModule

if TYPE_CHECKING:
    import wasmtime
    from wasmtime.component import Component, Func, Linker

    from onecopy.nn.guest.component_nn import Models

_PREAMBLE: Final = b"\0asm\r\0\1\0"
_RUN: Final = re.compile(r"wasi:cli/run@0\.2\.\d+")
ROOM: Final = 256 << 20


def is_component(wasm: bytes) -> bool:
    """Return whether Wasm bytes are a component, rather than a module."""
    return wasm.startswith(_PREAMBLE)


def run_component(
    component: Component,
    engine: wasmtime.Engine,
    store: wasmtime.Store,
    models: Models,
    room: int = ROOM,
) -> int:
    """Run a component's `wasi:cli/run`, and return its exit status.

    Args:
        component: compiled with `engine`.
        engine: that of `store`.
        store: one with WASI, limits and a deadline.
        models: where its graphs come from.
        room: how many bytes of tensors it may hold of the host, beside its own memory.

    Raises:
        InvalidModule: it is no command, or imports what this host does not have.
        GuestMemoryExceeded: it holds too much of the host.
        wasmtime.WasmtimeError: it trapped.
    """
    import wasmtime
    from wasmtime.component import Linker

    from onecopy.nn.guest.component_nn import Inference
    from onecopy.nn.guest.component_resources import Resources

    linker = Linker(engine)
    linker.add_wasip2()
    resources = Resources(room)
    Inference(models, resources).define(linker)
    try:
        ok = _command(component, engine, store, linker)(store)
    except wasmtime.ExitTrap as exit_:
        return exit_.code
    finally:
        resources.close()
    return 0 if ok.tag == "ok" else 1


def _command(
    component: Component, engine: wasmtime.Engine, store: wasmtime.Store, linker: Linker
) -> Func:
    import wasmtime

    interface = next(filter(_RUN.fullmatch, component.type.exports(engine)), None)
    if interface is None:
        raise InvalidModule(
            "the component is no command: it exports no wasi:cli/run@0.2; build it as a program"
        )
    index = component.get_export_index("run", component.get_export_index(interface))
    try:
        instance = linker.instantiate(store, component)
    except wasmtime.WasmtimeError as error:
        if "not found in the linker" not in str(error):
            raise
        raise InvalidModule(
            f"the component imports what this host does not have ({error}); there are WASI 0.2 and "
            "wasi:nn@0.2.0-rc-2024-10-28"
        ) from None
    function = instance.get_func(store, index) if index else None
    if function is None:
        raise InvalidModule(f"{interface} of the component has no function `run`")
    return function
