"""A command linked to what it may import: WASI by wasmtime, inference by `Functions`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from onecopy.errors import (
    GuestMemoryExceeded,
    GuestTrapped,
    InvalidModule,
    OnecopyError,
)
from onecopy.guests.instance.linked import FOREVER
from onecopy.guests.wasm.engine import engine
from onecopy.guests.wasm.memory import LinearMemory, limit_store
from onecopy.guests.wasm.raw import HostFunction, deadline_setter
from onecopy.nn.guest import abi
from onecopy.nn.guest.command import START
from onecopy.nn.guest.windows import Shown, imports_windows, refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import wasmtime

    from onecopy.guests.windows.source import Source
    from onecopy.nn.guest.functions import Functions

_FAULT: Final = (
    "the host failed in a call of the guest; this is a fault of onecopy, not the guest's"
)


class _Exited(Exception):
    """The guest has ended itself."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def _exit(status: int) -> None:
    raise _Exited(status)


class Instance:
    """All that one guest imports: made before it is known which one, then `start` and `run`, once.

    `say` is told what it logs. Deadlines are the host's, which ends the process.
    """

    def __init__(self, functions: Functions, say: Callable[[str], object]) -> None:
        import wasmtime

        self._say = say
        self._shown: Shown | None = None
        self._failure: BaseException | None = None
        self._functions = functions
        self._store = wasmtime.Store(engine())
        deadline_setter(self._store)(FOREVER)
        self._linker = wasmtime.Linker(engine())
        self._linker.define_wasi()
        self._imports = [
            self._define(abi.MODULE, name, each, functions.function(name))
            for name, each in abi.SIGNATURES.items()
        ]
        # wasmtime's own takes a status from 126 on for a trap.
        self._linker.allow_shadowing = True
        self._imports.append(self._define(abi.WASI, "proc_exit", (("i32",), ()), _exit))
        self._linker.allow_shadowing = False

    def _define(
        self,
        module: str,
        name: str,
        signature: tuple[tuple[str, ...], tuple[str, ...]],
        function: Callable[..., int | None],
    ) -> HostFunction:
        made = HostFunction(self._store, signature, function, self._failed)
        self._linker.define(self._store, module, name, made.function)
        return made

    def linked(self, module: wasmtime.Module) -> wasmtime.InstancePre:
        """Return a module with all that it imports.

        Raises:
            InvalidModule: it imports what there is not.
        """
        import wasmtime

        if self._shown is None and imports_windows(module):
            self._shown = Shown(self._say)
            self._shown.define(self._linker, self._store, self._failed)
        try:
            return self._linker.instantiate_pre(module)
        except wasmtime.WasmtimeError as error:
            raise InvalidModule(f"the module cannot be instantiated: {error}") from None

    def start(
        self,
        linked: wasmtime.InstancePre,
        wasi: wasmtime.WasiConfig,
        memory_limit: int,
        windows: Mapping[str, Source],
    ) -> None:
        """Make it of a module; its own start function, if there is one, runs.

        Raises:
            InvalidModule: it does not fit into the limits of all guests, or cannot find windows.
            WindowRefused: there is no room for them in its memory.
            GuestError: it starts with more memory than it may, or its start function failed.
        """
        limit_store(self._store, memory_limit)
        self._store.set_wasi(wasi)
        self._instance = self._instantiate(linked, memory_limit)
        memory = LinearMemory(self._store, self._export("memory"), memory_limit)
        if self._shown is None:
            refuse(windows)
        else:
            self._shown.open(memory, windows)
        self._functions.attach(memory, memory_limit)

    def _failed(self, error: BaseException) -> None:
        self._failure = error

    def _instantiate(self, linked: wasmtime.InstancePre, memory_limit: int) -> wasmtime.Instance:
        import wasmtime

        try:
            return linked.instantiate(self._store)
        except wasmtime.Trap as trap:
            raise GuestTrapped(f"the guest trapped at its start: {trap}") from None
        except wasmtime.WasmtimeError as error:
            if isinstance(self._failure, _Exited):
                raise GuestTrapped("the guest ended itself at its start, before it ran") from None
            if self._failure is not None:
                raise self._error(error) from None
            if "memory" in str(error) and "limit" in str(error):
                raise GuestMemoryExceeded(
                    f"the guest starts with more memory than its limit of {memory_limit} "
                    "bytes; raise memory_limit"
                ) from None
            raise InvalidModule(f"the module cannot be instantiated: {error}") from None

    def _export(self, name: str) -> Any:
        return cast("Any", self._instance.exports(self._store)[name])

    def run(self) -> int:
        """Run it to its end, and return its exit status, of which a byte counts.

        Raises:
            GuestTrapped: it did not come to one; the text has its backtrace.
        """
        import wasmtime

        try:
            self._export(START)(self._store)
        except (wasmtime.Trap, wasmtime.WasmtimeError) as trap:
            if isinstance(self._failure, _Exited):
                return self._failure.status & 0xFF
            raise self._error(trap) from None
        return 0

    def _error(self, trap: Exception) -> BaseException:
        if self._failure is None:
            return GuestTrapped(f"the guest trapped: {trap}")
        if isinstance(self._failure, OnecopyError):
            return self._failure
        error = GuestTrapped(f"{_FAULT}: {type(self._failure).__name__}: {self._failure}")
        error.__cause__ = self._failure
        return error
