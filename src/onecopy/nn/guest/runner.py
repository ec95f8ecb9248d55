"""The process of one guest: it waits for a module, closes itself off, runs it, and ends.

It is forked from a process that has imported everything, see `forkserver_main`, and does all that
it can before anybody waits for it: a host keeps one such process ready. By then its system calls
are filtered, and the module that ran last is linked; what is left are the guest's folders.

The code in the guest is nobody's that we know. WebAssembly holds it; for the day on which that
fails, the process can reach the files of the guest's folders, its streams, the host's sockets and
nothing else.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import traceback
from typing import TYPE_CHECKING, Any, Final, NoReturn

from onecopy.errors import OnecopyError, ProtocolError
from onecopy.guests.windows.source import Source
from onecopy.guests.workers import sandbox
from onecopy.nn.broker import Broker
from onecopy.nn.guest import landlock, messages
from onecopy.nn.guest.messages import STREAMS, Ended, Module, Ready, Said, Start
from onecopy.nn.guest.syscalls import CONFINING, FCNTL, FILES
from onecopy.nn.guest.windows import refuse
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Sequence

    import wasmtime
    from wasmtime.component import Component

_TEXT_LIMIT: Final = 16_000


def import_all() -> None:
    """Import what guests need: later there are no files to import from."""
    from wasmtime.component import Component  # noqa: F401

    from onecopy.nn.guest import component, component_nn, functions, instance  # noqa: F401


def main(control: int, models: int, parent: int) -> NoReturn:
    """Get ready, run what comes, and end.

    Args:
        control: the descriptor of the socket for `messages`.
        models: of the broker's, where models are asked for.
        parent: the process that this one ends with.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox.end_with_parent(parent)
    sandbox.go_first_when_memory_runs_out()
    sock = socket.socket(fileno=control)
    runner = Runner(sock, Broker(socket.socket(fileno=models)))
    unfiltered = filter_calls()
    _tell(sock, Ready())
    if unfiltered:
        _tell(sock, Said(unfiltered, warning=True))
    runner.serve()
    # At once: nothing is to be cleaned up, and threads of wasmtime may still read a terminal.
    os._exit(0)


class Runner:
    """What every guest needs, made before one is there."""

    def __init__(self, control: socket.socket, loader: Broker) -> None:
        import wasmtime

        from onecopy.nn.guest.functions import Functions
        from onecopy.nn.guest.instance import Instance
        from onecopy.nn.guest.refusals import Reporter

        self._control = control
        self._loader = loader
        self._reporter = Reporter(lambda text: _tell(control, Said(text)))
        self._instance = Instance(
            Functions(loader, self._reporter), lambda text: _tell(control, Said(text))
        )
        self._wasi = wasmtime.WasiConfig()
        for inherit in ("stdin", "stdout", "stderr"):
            getattr(self._wasi, f"inherit_{inherit}")()
        self._module: tuple[Module, Any] | None = None
        """What is ready, and what it was made of."""
        _rehearse()
        gc.collect()
        gc.freeze()  # what was imported stays: no collection need look at it again

    def serve(self) -> None:
        """Get modules ready until one is to run, and run it; or end with the host."""
        while True:
            data, fds = wire.receive(self._control)
            if not data:
                return
            message = messages.decode_order(data)
            if isinstance(message, Start):
                _tell(self._control, self.outcome(message, fds))
                return
            with contextlib.suppress(Exception):  # who starts it is told
                self._prepare(message, fds[0])

    def _prepare(self, module: Module, native: int) -> None:
        """Map a module's native code, and find what it imports."""
        if self._module is not None and self._module[0] == module:
            os.close(native)
            return
        self._module = None  # what is not run is not to be there
        code = _component(native) if module.component else self._instance.linked(_module(native))
        self._module = module, code

    def outcome(self, start: Start, fds: list[int]) -> Ended:
        """Run a guest, and say how it ended."""
        try:
            return Ended(status=self._run(start, fds))
        except OnecopyError as error:
            return Ended(error=type(error).__name__, text=str(error)[:_TEXT_LIMIT])
        except BaseException:
            return Ended(error="GuestError", text=traceback.format_exc()[-_TEXT_LIMIT:])

    def _run(self, start: Start, fds: list[int]) -> int:
        if len(fds) != 1 + STREAMS + len(start.folders) + len(start.windows):
            raise ProtocolError("descriptors are missing; this is a fault of the host")
        native, streams, rest = fds[0], fds[1 : 1 + STREAMS], fds[1 + STREAMS :]
        folders, segments = rest[: len(start.folders)], rest[len(start.folders) :]
        windows = {
            name: Source.from_fields(fields, fd)
            for (name, fields), fd in zip(start.windows, segments, strict=True)
        }
        self._prepare(start.module, native)
        assert self._module is not None
        code = self._module[1]
        _configure(self._wasi, start, folders)
        _take_streams(streams)
        for text in close_off(start, folders):
            _tell(self._control, Said(text, warning=True))
        if start.module.component:
            from onecopy.nn.guest.component import ComponentInstance

            refuse(windows)
            limit = start.memory_limit
            return ComponentInstance(code, self._wasi, self._loader, limit, self._reporter).run()
        self._instance.start(code, self._wasi, start.memory_limit, windows)
        for each in windows.values():
            each.close()  # A window shows some pages of an entry; the descriptor has them all.
        return self._instance.run()


def _rehearse() -> None:
    """Do once what each guest needs: then the first one finds libraries and memory in place.

    A fork copies a page of its parent's when it first writes to it, which takes microseconds, and
    a guest's first answer would wait for hundreds of those.
    """
    import wasmtime

    from onecopy.nn.workspace import Workspace

    _configure(wasmtime.WasiConfig(), Start(("",), (("", ""),), (), 0), ())
    landlock.version()
    space = Workspace()
    space.put(0, "u8", (1,), b"\0")
    space.close()


def _tell(control: socket.socket, message: Any) -> None:
    control.send(messages.encode(message))


def _module(native: int) -> wasmtime.Module:
    """Map a module's native code: it is sealed, and nobody can change it now."""
    import wasmtime

    from onecopy.guests.wasm.engine import engine

    module = wasmtime.Module.deserialize_file(engine(), f"/proc/self/fd/{native}")
    os.close(native)
    return module


def _component(native: int) -> Component:
    """Map a component's native code."""
    from wasmtime.component import Component

    from onecopy.guests.wasm.engine import engine

    code = Component.deserialize_file(engine(), f"/proc/self/fd/{native}")
    os.close(native)
    return code


def _configure(wasi: wasmtime.WasiConfig, start: Start, folders: Sequence[int]) -> None:
    wasi.argv = list(start.args)
    wasi.env = start.env
    for fd, folder in zip(folders, start.folders, strict=True):
        wasi.preopen_dir(f"/proc/self/fd/{fd}", folder.name, folder.writable)


def _take_streams(streams: Sequence[int]) -> None:
    for number, fd in enumerate(streams):
        os.dup2(fd, number)
        os.close(fd)


def filter_calls() -> str:
    """Give up the system calls that no guest needs; return why that is not possible, or nothing."""
    return sandbox.enter({**FILES, **CONFINING}, FCNTL)


def close_off(start: Start, folders: Sequence[int]) -> list[str]:
    """Confine the process to some folders; return what of it this kernel cannot do."""
    allowed = [(fd, each.writable) for fd, each in zip(folders, start.folders, strict=True)]
    # This thread is the only one: those that come get its confinement.
    lacks = landlock.confine(allowed)
    for fd in folders:
        os.close(fd)
    return [text for text in (lacks, sandbox.forbid(CONFINING)) if text]
