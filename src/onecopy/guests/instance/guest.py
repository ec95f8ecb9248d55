"""A guest: one instance of a module, its windows, and calls into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import GuestError, GuestMemoryExceeded, InvalidModule
from onecopy.guests.instance.host import Host
from onecopy.guests.instance.linked import FOREVER, Linked
from onecopy.guests.wasm.control import ABI, NBYTES, ControlPage
from onecopy.guests.wasm.engine import ticker, ticks
from onecopy.guests.wasm.memory import LinearMemory, region
from onecopy.guests.wasm.raw import Trapped
from onecopy.guests.windows.source import Source
from onecopy.guests.windows.sources import source_of
from onecopy.guests.windows.window import Windows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import wasmtime

    from onecopy.guests.wasm.raw import Export
    from onecopy.guests.windows.source import Access
    from onecopy.guests.windows.window import Window

DEFAULT_MEMORY: Final = 64 << 20
START_SECONDS: Final = 1.0


class Instance:
    """An instance in this process; `Guest` is the public face, workers use it directly.

    Not for two threads at once. After a `GuestError` it is only good for `close()`.
    """

    def __init__(
        self,
        module: wasmtime.Module,
        host: Host | None = None,
        memory_limit: int = DEFAULT_MEMORY,
        start_seconds: float = START_SECONDS,
    ) -> None:
        self.host = host or Host()
        self.memory_limit = memory_limit
        self.dead: str | None = None
        """Why it is not called again, if it is not."""
        self._closed = False
        self._linked = Linked(module, self.host, memory_limit, start_seconds)
        self._set_deadline = self._linked.set_deadline
        try:
            self._lay_out()
        except BaseException:
            self._linked.close()
            raise

    def _lay_out(self) -> None:
        """Make room in the guest's memory for what the host puts there."""
        self.memory = LinearMemory(self._linked.store, self._linked.memory, self.memory_limit)
        self.memory.allow(0)
        self.windows = Windows(self.memory)
        self.control_at = self.memory.reserve(NBYTES)
        """Where the control page is, in the guest's memory."""
        self.control = ControlPage(self.memory.view(self.control_at, NBYTES))
        self.host.attach(self.memory, self.control_at)
        self.control.describe([])

    def start(self, seconds: float | None = None) -> None:
        """Run the module's own initialization, and agree on a version of the ABI."""
        if "_initialize" in self.functions():
            self.call("_initialize", seconds=seconds)
        if "onecopy_abi" not in self.functions():
            return
        spoken = self.call("onecopy_abi", ABI, seconds=seconds)
        if spoken != ABI:
            raise InvalidModule(
                f"the guest speaks version {spoken or 'newer than any'} of the ABI, and this host "
                f"version {ABI}; build it with the onecopy.h of this release"
            )

    def functions(self) -> list[str]:
        """Return the names of what can be called."""
        return self._linked.functions()

    def export(self, name: str) -> Export:
        """Return a function of the guest, prepared for many calls (see `invoke`).

        Raises:
            InvalidArgument: the guest has no such function.
        """
        found = self._linked.prepared(name)
        if found is None:
            self.check_alive()
            found = self._linked.prepare(name)
        return found

    def call(self, name: str, *arguments: float, seconds: float | None = None) -> Any:
        """Call a function of the guest with numbers; read-only windows are as new before it."""
        return self.invoke(self.export(name), *arguments, seconds=seconds)

    def invoke(self, export: Export, *arguments: float, seconds: float | None = None) -> Any:
        """Call a prepared function.

        Raises:
            GuestTimeout, GuestTrapped, GuestMemoryExceeded: the guest failed.
            onecopy.OnecopyError: what a host function raised on its behalf.
        """
        if self.dead is not None:
            self.check_alive()
        self.charge()
        try:
            if seconds is None:
                self._set_deadline(FOREVER)  # `run` leaves its own behind
                return export(*arguments)
            with ticker.running():
                return self._timed(export, arguments, seconds)
        except Trapped as trapped:
            raise self._error(trapped, seconds) from None

    def run(self, export: Export, epochs: int) -> Any:
        """Call a prepared function without arguments, by a ticker that runs already.

        For those who call many guests in a row: nothing is charged or dropped here; do that with
        `charge()` when there is time.
        """
        if self.dead is not None:
            self.check_alive()
        self._set_deadline(epochs)
        try:
            return export.bare()
        except Trapped as trapped:
            raise self._error(trapped, None) from None

    def ended(self, export: Export, error: int | None) -> Any:
        """Return the result of a call as `run` makes it, which somebody else has made.

        Args:
            error: what wasmtime's function returned.
        """
        try:
            return export.ended(error)
        except Trapped as trapped:
            raise self._error(trapped, None) from None

    def _timed(self, export: Export, arguments: tuple[float, ...], seconds: float) -> Any:
        self._set_deadline(ticks(seconds))
        try:
            return export(*arguments)
        finally:
            self._set_deadline(FOREVER)

    def charge(self) -> None:
        """Drop what the guest wrote where it may only read, and count it against its limit.

        Raises:
            GuestMemoryExceeded: its own memory and that were more than the limit.
        """
        dropped = self.windows.drop_written()
        if dropped and dropped + self.memory.own_nbytes > self.memory_limit:
            self.dead = "it wrote too much to read-only windows"
            raise GuestMemoryExceeded(
                f"the guest wrote {dropped} bytes to read-only windows and has "
                f"{self.memory.own_nbytes} of its own, with a limit of {self.memory_limit}"
            )

    def open_window(
        self, name: str, value: Any, access: Access = "r", *, copy: bool = False
    ) -> Window:
        """Map a tensor into the guest, or replace a window; the guest must not be running.

        `value` is a `Source`, which the caller closes, or anything that `source_of` takes.

        Raises:
            WindowRefused: it cannot be a window; one of that name is still there.
        """
        self.check_alive()
        if isinstance(value, Source):
            return self._map(name, value)
        with source_of(value, access, copy=copy) as source:
            return self._map(name, source)

    def _map(self, name: str, source: Source) -> Window:
        window = self.windows.open(name, source)
        self.control.describe(self.windows.described())
        return window

    def close_window(self, name: str) -> None:
        """Take a window away."""
        self.check_alive()
        self.windows.close(name)
        self.control.describe(self.windows.described())

    def mutable_globals(self) -> tuple[wasmtime.Store, list[Any]]:
        """Return the store and the globals that can change, in the module's order."""
        return self._linked.store, self._linked.mutable_globals()

    def host_regions(self) -> list[tuple[int, int]]:
        """Return addresses and lengths of what is not the guest's own."""
        mapped = [(each.address, region(each.extent)) for each in self.windows]
        return [(self.control_at, region(NBYTES)), *mapped, *self.memory.released()]

    def take_layout(self, other: Instance, sources: Mapping[str, Source]) -> None:
        """Become as large as another instance of the module, with windows at the same addresses.

        Raises:
            WindowRefused: a source is longer or shorter than the other's.
        """
        self.memory.take_layout(other.memory)
        self.windows.take_layout(other.windows, sources)
        self.control.take_layout(other.control, self.windows.described())

    def _error(self, trapped: Trapped, seconds: float | None) -> BaseException:
        self.dead = str(trapped).splitlines()[-1] if str(trapped) else "it trapped"
        return self._linked.error(trapped, seconds)

    def check_alive(self) -> None:
        """Raise `GuestError` if it is good for nothing but `close()`."""
        if self.dead is not None:
            raise GuestError(f"this guest is not called again: {self.dead}; make a new one")

    @property
    def failed(self) -> bool:
        """Whether it is good for nothing but `close()`."""
        return self.dead is not None

    def close(self) -> None:
        """Unmap the windows, then drop the instance; twice is fine."""
        if self._closed:
            return
        self._closed = True
        self.windows.close_all()
        self.dead = "it was closed"
        self._linked.close()

    def __enter__(self) -> Instance:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
