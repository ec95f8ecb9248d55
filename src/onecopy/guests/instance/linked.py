"""A module linked to its host: the store, the imports and the functions of one instance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from onecopy.errors import (
    GuestMemoryExceeded,
    GuestTimeout,
    GuestTrapped,
    InvalidArgument,
    InvalidModule,
)
from onecopy.guests.wasm import abi
from onecopy.guests.wasm.binary import GLOBAL_PREFIX
from onecopy.guests.wasm.engine import engine, ticker, ticks
from onecopy.guests.wasm.memory import limit_store
from onecopy.guests.wasm.raw import Export, HostFunction, Trapped, deadline_setter

if TYPE_CHECKING:
    import wasmtime

    from onecopy.guests.instance.host import Host

FOREVER: Final = 1 << 62


class Linked:
    """What wasmtime has of a guest. Its start function, if there is one, has run.

    Raises:
        InvalidModule, GuestError: it cannot be instantiated, or failed at its start.
    """

    def __init__(
        self, module: wasmtime.Module, host: Host, memory_limit: int, seconds: float
    ) -> None:
        import wasmtime

        self.store = wasmtime.Store(engine())
        self.set_deadline = deadline_setter(self.store)
        """Sets the epochs that calls may take."""
        self.set_deadline(FOREVER)
        limit_store(self.store, memory_limit)
        self._failure: BaseException | None = None
        self._exports: dict[str, Export] = {}
        self._functions = [self._import(each.name or "", host) for each in module.imports]
        try:
            self._instance = self._instantiate(module, memory_limit, seconds)
        except BaseException:
            self.close()
            raise

    def _import(self, name: str, host: Host) -> HostFunction:
        signature, shortcut = abi.SIGNATURES[name], host.shortcut(name)
        return HostFunction(self.store, signature, host.function(name), self._failed, shortcut)

    def _failed(self, error: BaseException) -> None:
        self._failure = error

    def _instantiate(
        self, module: wasmtime.Module, memory_limit: int, seconds: float
    ) -> wasmtime.Instance:
        import wasmtime

        imports = [each.function for each in self._functions]
        try:
            with ticker.running():
                self.set_deadline(ticks(seconds))
                return wasmtime.Instance(self.store, module, imports)
        except wasmtime.Trap as trap:
            raise self.error(Trapped(trap), seconds) from None
        except wasmtime.WasmtimeError as error:
            if self._failure is not None:
                raise self.error(Trapped(error), seconds) from None
            raise _refused(error, memory_limit) from None
        finally:
            self.set_deadline(FOREVER)

    @property
    def memory(self) -> wasmtime.Memory:
        """Its one memory, which every module exports: that was checked."""
        memory: wasmtime.Memory = cast("Any", self._instance.exports(self.store)["memory"])
        return memory

    def functions(self) -> list[str]:
        """Return the names of what can be called."""
        import wasmtime

        exports = self._instance.exports(self.store)
        return [name for name in exports if isinstance(exports[name], wasmtime.Func)]

    def prepared(self, name: str) -> Export | None:
        """Return a function that was prepared before."""
        return self._exports.get(name)

    def prepare(self, name: str) -> Export:
        """Prepare a function for calls.

        Raises:
            InvalidArgument: there is no such function.
        """
        import wasmtime

        function = self._instance.exports(self.store).get(name)
        if not isinstance(function, wasmtime.Func):
            raise InvalidArgument(
                f"the guest has no function {name!r}; it has {', '.join(self.functions())}"
            )
        export = self._exports[name] = Export(self.store, name, function)
        return export

    def mutable_globals(self) -> list[Any]:
        """Return the globals that can change, in the module's order."""
        exports = self._instance.exports(self.store)
        return [exports[name] for name in exports if name.startswith(GLOBAL_PREFIX)]

    def error(self, trapped: Trapped, seconds: float | None) -> BaseException:
        """Return what a call that ended so is to raise: what a host function raised, if one did."""
        import wasmtime

        failure, self._failure = self._failure, None
        if failure is not None:
            return failure
        if getattr(trapped.cause, "trap_code", None) == wasmtime.TrapCode.INTERRUPT:
            limit = "its time" if seconds is None else f"{seconds * 1000:g} ms"
            return GuestTimeout(
                f"the guest did not return within {limit}; let it do less in a call, or give it "
                "more time: timeout= of a call, seconds= of open(), guest_ms= of Pool"
            )
        return GuestTrapped(f"the guest trapped: {trapped}")

    def close(self) -> None:
        """Drop the instance; twice is fine."""
        self._exports.clear()
        self.store.close()  # now: what makes up an instance refers to itself in a circle
        # They lead back to the guest: without them its memory does not wait for the collector.
        self._functions.clear()


def _refused(error: wasmtime.WasmtimeError, memory_limit: int) -> Exception:
    if "memory" in str(error) and "limit" in str(error):
        return GuestMemoryExceeded(
            f"the guest starts with more memory than its limit of {memory_limit} bytes; raise "
            "memory_limit"
        )
    return InvalidModule(f"the module cannot be instantiated: {error}")
