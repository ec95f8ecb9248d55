"""Windows of commands: tensors of the host, mapped into a guest's memory before it runs.

The same windows as those of other guests (docs/guests.md), found by the same functions of the
module `onecopy`. They only show what nobody can change: wasmtime's WASI looks at a guest's memory
twice, and what it has checked must stay as it was.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidModule, WindowRefused
from onecopy.guests.instance.host import Host
from onecopy.guests.wasm import abi, control
from onecopy.guests.wasm.memory import LinearMemory
from onecopy.guests.wasm.raw import HostFunction
from onecopy.guests.windows.window import Windows, check_window

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import wasmtime

    from onecopy.guests.windows.source import Source

_LINES: Final = 256


def opened(windows: Mapping[str, Any], stack: ExitStack) -> dict[str, Source]:
    """Return the sources of windows, in the host; they are closed with the stack.

    Raises:
        WindowRefused: a value that cannot be mapped, that others can change, or too many of them.
    """
    from onecopy.guests.windows.sources import sources_of

    sources = sources_of(windows)
    for source in sources.values():
        stack.callback(source.close)
    if len(sources) > control.MAX_WINDOWS:
        raise WindowRefused(f"{len(sources)} windows; a guest has at most {control.MAX_WINDOWS}")
    for name, source in sources.items():
        check_window(name, source)
        if source.writable or not (source.copied or source.is_immutable()):
            raise WindowRefused(
                f"{name!r} can be changed while the guest runs; a command sees immutable entries "
                "only: save it without mutable=True, or give copy_of(it)"
            )
    return sources


class Shown:
    """What a command may import from `onecopy`: its control page, its windows, a log.

    Args:
        say: is told the first lines that the guest logs.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._host = Host()
        self._host.say = self._log
        self._say = say
        self._left = _LINES
        self._functions: list[HostFunction] = []

    def _log(self, _: int, text: str) -> None:
        if self._left:
            self._left -= 1
            self._say(f"the guest: {text!r}")  # in quotes: it may have line breaks in it

    def define(
        self,
        linker: wasmtime.Linker,
        store: wasmtime.Store,
        failed: Callable[[BaseException], None],
    ) -> None:
        """Have modules find the functions; those of other kinds of guests are refused."""
        for name, signature in abi.SIGNATURES.items():
            function = HostFunction(store, signature, self._host.function(name), failed)
            linker.define(store, abi.MODULE, name, function.function)
            self._functions.append(function)

    def open(self, memory: LinearMemory, sources: Mapping[str, Source]) -> None:
        """Map the windows, before the guest runs; their segments are not needed any more then.

        Raises:
            WindowRefused: there is no room for them in the guest's memory.
        """
        memory.allow(0)
        windows = Windows(memory)
        address = memory.reserve(control.NBYTES)
        page = control.ControlPage(memory.view(address, control.NBYTES))
        self._host.attach(memory, address)
        for name, source in sources.items():
            windows.open(name, source)
        page.describe(windows.described())


def imports_windows(module: wasmtime.Module) -> bool:
    """Return whether a module imports what `Shown` defines."""
    return any(each.module == abi.MODULE for each in module.imports)


def refuse(sources: Mapping[str, Source]) -> None:
    """Raise `InvalidModule` if there are windows for a guest that cannot find them."""
    if sources:
        raise InvalidModule(
            f"the guest was given windows ({', '.join(sources)}), and imports no function of "
            "`onecopy` by which it would find them; build it with onecopy.h"
        )
