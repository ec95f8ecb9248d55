"""Components of WASI 0.2 that are commands and may import `wasi:nn`.

They run as modules do: in a process of their own, with arguments, streams and preopened folders.
docs/nn.md says where wasmtime's Python API ends.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from onecopy.errors import GuestTrapped, InvalidModule, OnecopyError
from onecopy.guests.instance.linked import FOREVER
from onecopy.guests.wasm.engine import engine

if TYPE_CHECKING:
    import wasmtime
    from wasmtime.component import Component, ExportIndex, Func

    from onecopy.nn.guest.component_nn import Models, Report

MAGIC: Final = b"\0asm\r\0\1\0"
ROOM: Final = 256 << 20
_RUN: Final = re.compile(r"wasi:cli/run@0\.2\.\d+")
_LIMITS: Final = {"table_elements": 1 << 20, "instances": 64, "tables": 64, "memories": 8}


def is_component(wasm: bytes) -> bool:
    """Return whether Wasm bytes are a component, rather than a module."""
    return wasm.startswith(MAGIC)


def compiled(wasm: bytes) -> Component:
    """Compile and check a component, in the compiler's process; see `compile_module`.

    Raises:
        InvalidModule: it is no command.
        wasmtime.WasmtimeError: it does not compile.
    """
    from wasmtime.component import Component

    component = Component(engine(), wasm)
    _start_of(component)
    return component


class ComponentInstance:
    """One component, ready to `run` once. Deadlines are the host's, which ends the process.

    Args:
        component: compiled with this process's engine.
        wasi: what it is started with.
        models: where its graphs come from.
        memory_limit: bytes of each of its memories.
        report: is told which call was refused, and why.
        room: how many bytes of tensors it may hold of the host, beside its own memories.

    Raises:
        InvalidModule: it is no command, or imports what this host does not have.
        GuestTrapped: its start failed.
    """

    def __init__(
        self,
        component: Component,
        wasi: wasmtime.WasiConfig,
        models: Models,
        memory_limit: int,
        report: Report,
        room: int = ROOM,
    ) -> None:
        import wasmtime

        from onecopy.nn.guest.component_resources import Resources

        self._store = wasmtime.Store(engine())
        self._store.set_epoch_deadline(FOREVER)
        self._store.set_limits(memory_size=memory_limit, **_LIMITS)
        self._store.set_wasi(wasi)
        self._resources = Resources(room)
        self._run = self._linked(component, models, report)

    def _linked(self, component: Component, models: Models, report: Report) -> Func:
        import wasmtime
        from wasmtime.component import Linker

        from onecopy.nn.guest.component_nn import Inference

        linker = Linker(engine())
        linker.add_wasip2()
        Inference(models, self._resources, report).define(linker)
        try:
            function = linker.instantiate(self._store, component).get_func(
                self._store, _start_of(component)
            )
        except wasmtime.WasmtimeError as error:
            raise _refusal(error) from None
        if function is None:
            raise InvalidModule("wasi:cli/run of the component has no function `run`")
        return function

    def run(self) -> int:
        """Run it to its end, and return its exit status.

        Raises:
            GuestTrapped: it did not come to one; the text has its backtrace.
            GuestMemoryExceeded: it holds too much of the host.
        """
        import wasmtime

        try:
            result = self._run(self._store)
        except wasmtime.ExitTrap as end:
            return end.code & 0xFF
        except wasmtime.WasmtimeError as trap:
            raise GuestTrapped(f"the guest trapped: {trap}") from None
        except OnecopyError:
            raise
        except Exception as error:
            raise GuestTrapped(
                "the host failed in a call of the guest; this is a fault of onecopy, not the "
                f"guest's: {type(error).__name__}: {error}"
            ) from error
        finally:
            self._resources.close()
        return 0 if result.tag == "ok" else 1


def _start_of(component: Component) -> ExportIndex:
    interface = next(filter(_RUN.fullmatch, component.type.exports(engine())), None)
    outer = component.get_export_index(interface) if interface else None
    index = component.get_export_index("run", outer) if outer else None
    if index is None:
        raise InvalidModule(
            "the component is no command: it exports no wasi:cli/run@0.2; build it as a program"
        )
    return index


def _refusal(error: wasmtime.WasmtimeError) -> OnecopyError:
    text = str(error)
    if "not found in the linker" not in text and "type mismatch" not in text:
        return GuestTrapped(f"the guest trapped at its start: {text}")
    return InvalidModule(
        f"the component imports what this host does not have ({text}); there are WASI 0.2 and "
        "wasi:nn@0.2.0-rc-2024-10-28"
    )
