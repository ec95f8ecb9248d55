"""Running guests: each in a process of its own, forked from one, with one ready for the next.

guests = Guests(serve_models)
status = guests.run("guest.wasm", args=["x"], dirs={".": "data"}, timeout=30)
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy import errors
from onecopy.errors import InvalidArgument, ProtocolError, StoreClosed, WorkerLost
from onecopy.nn.guest.forkserver import ForkServer
from onecopy.nn.guest.invocation import opened
from onecopy.nn.guest.modules import Modules, Native
from onecopy.nn.guest.process import GuestProcess
from onecopy.nn.guest.watched import Watched

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from onecopy.nn.guest.invocation import Folders, Stream
    from onecopy.nn.guest.messages import Ended

log = logging.getLogger("onecopy.nn")

MEMORY_LIMIT: Final = 1 << 30
_SPARE_AFTER: Final = 0.25


class Guests:
    """Runs guests for one host, from any number of threads at a time.

    Args:
        serve: answers a guest's requests for models, which come by a socket, until it ends. Called
            in a thread of its own for each guest, since a model may take long to load.
        spare: whether to keep a process ready for the next guest, once there was one; it has the
            module linked that was run last.
    """

    def __init__(self, serve: Callable[[socket.socket], object], *, spare: bool = True) -> None:
        self._serve = serve
        self._keeps_spare = spare
        self._modules = Modules()
        self._lock, self._compiling = threading.Lock(), threading.Lock()
        self._spare: Future[GuestProcess] | None = None
        self.running: set[GuestProcess] = set()
        """The processes of guests that run right now."""
        self._pid = os.getpid()
        self._closed = False
        self._server: ForkServer | None = None
        """Used by the only thread of the next."""
        self._starter = ThreadPoolExecutor(1, "guests of WASI-NN")

    def run(
        self,
        guest: bytes | os.PathLike[str] | str,
        *,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        dirs: Folders | None = None,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        timeout: float | None = None,
        memory_limit: int = MEMORY_LIMIT,
        windows: Mapping[str, Any] | None = None,
    ) -> int:
        """Run a command to its end, and return its exit status; see `Host.run`."""
        name = "guest" if isinstance(guest, bytes) else Path(guest).name
        streams = (stdin, stdout, stderr)
        with contextlib.ExitStack() as stack:
            given = stack.enter_context(
                opened((name, *args), env or {}, dirs or {}, streams, memory_limit, windows)
            )
            future = self._take()
            stack.callback(self._dismiss, future)
            native = self._module(guest)
            stack.callback(os.close, native.fd)
            process = future.result()
            self.running.add(process)
            process.await_ready()
            start = msgspec.structs.replace(given.start, module=native.module)
            process.start(start, (native.fd, *given.streams, *given.folders, *given.windows))
            self._answer(process.give_models())
            # All of a window counts as if it was in use, and its pages that a guest wrote to do.
            return self._watch(process, native, timeout, memory_limit + given.windows_nbytes)

    def _dismiss(self, future: Future[GuestProcess]) -> None:
        """End a process, and let another thread wait for that: it takes a while."""
        if future.exception() is not None:
            return
        process = future.result()
        self.running.discard(process)
        process.kill()
        try:
            self._starter.submit(process.close)
        except RuntimeError:  # the host was closed meanwhile
            process.close()

    def _answer(self, models: socket.socket) -> None:
        def serve() -> None:
            with models:
                try:
                    self._serve(models)
                except (OSError, ProtocolError) as error:
                    log.warning("requests of a guest are answered no more: %s", error)

        threading.Thread(target=serve, name="models of a guest", daemon=True).start()

    def _module(self, guest: bytes | os.PathLike[str] | str) -> Native:
        with self._compiling:
            return self._modules.get(guest)

    def _take(self) -> Future[GuestProcess]:
        if os.getpid() != self._pid:
            raise InvalidArgument("this host is another process's; make one after the fork")
        with self._lock:
            if self._closed:
                raise StoreClosed("the host is closed; make another")
            ready, self._spare = self._spare, None
            if ready is not None and _can_be_used(ready):
                return ready
            return self._starter.submit(self._fork)

    def _fork(self) -> GuestProcess:
        """Fork a process; with the server that there is, or else with a new one."""
        if self._server is not None:
            try:
                return GuestProcess(self._server)
            except WorkerLost:
                self._server.close()
        self._server = ForkServer()
        return GuestProcess(self._server)

    def prepare(self, native: Native | None = None) -> None:
        """Start a process for the next guest, unless there is one; of this module, probably."""
        with self._lock:
            if self._spare is not None or self._closed:
                return
            work = self._fork if native is None else partial(self._fork_for, native.again())
            self._spare = self._starter.submit(work)

    def _fork_for(self, native: Native) -> GuestProcess:
        try:
            process = self._fork()
            with contextlib.suppress(ConnectionError):  # who takes it will see that it has ended
                process.prepare(native.module, native.fd)
        finally:
            os.close(native.fd)
        return process

    def _watch(
        self, process: GuestProcess, native: Native, timeout: float | None, memory_limit: int
    ) -> int:
        watched = Watched(process, timeout, memory_limit)
        began = time.monotonic()
        while (ended := watched.turn()) is None:
            if self._keeps_spare and time.monotonic() - began > _SPARE_AFTER:
                self.prepare(native)
        if self._keeps_spare:
            self.prepare(native)
        return _status(ended)

    def close(self) -> None:
        """End the process that was ready; twice is fine. Guests that run go on."""
        with self._lock:
            self._closed = True
            spare, self._spare = self._spare, None
        if os.getpid() != self._pid:
            return
        if spare is not None and spare.exception() is None:
            spare.result().close()
        self._starter.shutdown()
        if self._server is not None:
            self._server.close()
        self._modules.close()


def _can_be_used(spare: Future[GuestProcess]) -> bool:
    """Return whether it is alive, or not there yet; if not, it is closed."""
    if not spare.done():
        return True
    if spare.exception() is not None:
        return False
    process = spare.result()
    if not process.is_alive:
        process.close()
        return False
    return True


def _status(ended: Ended) -> int:
    if not ended.error:
        return ended.status
    kind: Any = getattr(errors, ended.error, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.OnecopyError)):
        kind = errors.GuestError
    raise kind(ended.text)
