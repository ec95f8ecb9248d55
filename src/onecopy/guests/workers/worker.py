"""A worker process: one loop that does what its engine asks, for the guests that live in it.

Run as `python -m onecopy.guests.workers.worker CONFIG`, with its descriptors inherited. Requests
are served one after another; services may watch descriptors of their own. It ends when its engine
does.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from onecopy.errors import InvalidArgument, InvalidModule, LimitReached, OnecopyError
from onecopy.guests.wasm import alarm
from onecopy.guests.wasm.engine import engine, ticker
from onecopy.guests.wasm.module import Module
from onecopy.guests.windows import window
from onecopy.guests.workers import messages, sandbox
from onecopy.guests.workers.messages import CALL_KIND, Failed, Forget, Load, Message, Ping
from onecopy.guests.workers.progress import Progress
from onecopy.guests.workers.spill import Spill
from onecopy.store import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    import wasmtime

log = logging.getLogger("onecopy.guests")

_LINGER_MS: Final = 20
_OWN: Final = Ping | Load | Forget


class Config(msgspec.Struct):
    """What a worker is started with; the numbers are inherited descriptors."""

    socket: int
    progress: int
    engine: int
    """A pidfd."""
    long: int
    """The segment of answers that fill no datagram."""
    parent: int
    services: tuple[str, ...]
    """Modules with `MESSAGES`, a union, and `Service`, a class, or `prepare()`, or both."""


class Service(Protocol):
    """Answers the messages of one module; made with the worker."""

    def handle(self, message: Any, fds: list[int]) -> Message | None:
        """Do what a message says; the descriptors are the service's now."""


class Worker:
    """The process's state: modules, services, and what is watched."""

    def __init__(self, sock: socket.socket, progress: Progress, long: Spill) -> None:
        self.progress = progress
        self.modules: dict[str, wasmtime.Module] = {}
        """By digest; the engine sends those that it needs, and says when to forget one."""
        self._sock = sock
        self._long = long
        self._poll = select.poll()
        self._watched: dict[int, Callable[[], object]] = {}
        self._services: dict[str, Any] = {}
        self._handlers: dict[type, Callable[[Any, list[int]], Message | None]] = {
            Ping: lambda _message, _fds: messages.Done(),
            Load: self._load,
            Forget: self._forget,
        }
        self._unions: list[Any] = [_OWN]
        self._decode = messages.Decoder(_OWN)
        self._call: Callable[[bytes], bytes] | None = None
        self._time: contextlib.AbstractContextManager[None] | None = None
        self.watch(sock.fileno(), self._serve)

    def add(self, path: str) -> None:
        """Import a module, and give the messages that it has to its service."""
        home = importlib.import_module(path)
        getattr(home, "prepare", lambda: None)()
        if hasattr(home, "Service"):
            self._serve_by(home, path)

    def _serve_by(self, home: Any, path: str) -> None:
        service = home.Service(self)
        self._services[path.rpartition(".")[2]] = service
        for kind in getattr(home.MESSAGES, "__args__", (home.MESSAGES,)):
            self._handlers[kind] = service.handle
        self._unions.append(home.MESSAGES)
        self._decode = messages.Decoder(*self._unions)
        self._call = getattr(service, "call", self._call)

    def service(self, name: str) -> Any:
        """Return a service by the last part of its module's name."""
        return self._services[name]

    def module(self, digest: str) -> wasmtime.Module:
        """Return a module that the engine has sent.

        Raises:
            InvalidArgument: it has not.
        """
        found = self.modules.get(digest)
        if found is None:
            raise InvalidArgument(f"module {digest[:16]} is not here; `ensure` it first")
        return found

    def watch(self, fd: int, callback: Callable[[], object]) -> None:
        """Call back whenever a descriptor can be read, between requests."""
        self._watched[fd] = callback
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        """Stop that."""
        del self._watched[fd]
        self._poll.unregister(fd)

    def keep_time(self) -> None:
        """Let the clock of deadlines run from now until nothing has happened for a while."""
        if self._time is None:
            self._time = ticker.running()
            self._time.__enter__()

    def run(self) -> None:
        """Serve until the engine is gone."""
        poll, watched = self._poll.poll, self._watched
        while True:
            ready = poll(None if self._time is None else _LINGER_MS)
            if not ready:
                self._stop_time()
            for fd, _ in ready:
                callback = watched.get(fd)
                if callback is not None:  # an earlier one may have ended the watch
                    callback()

    def _stop_time(self) -> None:
        if self._time is not None:
            self._time.__exit__(None, None, None)
            self._time = None

    def _serve(self) -> None:
        try:
            head, data, fds = messages.receive(self._sock)
        except LimitReached as error:
            log.error("%s", error)
            raise SystemExit(1) from None  # the request is lost, and with it the order of things
        if not head:
            raise SystemExit(0)
        if data[0] == CALL_KIND and self._call is not None:
            self._sock.send(head + self._call(data))
            return
        answer = self._answer(data, fds)
        if answer is not None:
            self._sock.send(head + self._fitting(answer))

    def _fitting(self, answer: Message) -> bytes:
        try:
            return self._long.put(messages.encode(answer))
        except LimitReached as error:
            return messages.encode(Failed.of(error))

    def _answer(self, data: bytes, fds: list[int]) -> Message | None:
        try:
            message = self._decode(data)
            return self._handlers[type(message)](message, fds)
        except OnecopyError as error:
            return Failed.of(error)

    def _load(self, message: Load, fds: list[int]) -> Message:
        import wasmtime

        native = messages.contents(fds.pop())
        try:
            self.modules[message.digest] = Module(message.digest, native).load()
        except wasmtime.WasmtimeError as error:
            raise InvalidModule(
                f"this is not native code of this engine: {error}; empty the folder of compiled "
                "modules"
            ) from None
        return messages.Done()

    def _forget(self, message: Forget, fds: list[int]) -> Message:
        wire.close_all(fds)
        self.modules.pop(message.digest, None)
        return messages.Done()


def _end() -> None:
    raise SystemExit(0)


def main() -> None:
    """Set up, give up what guests must not have, and serve."""
    gc.disable()  # until it serves: imports leave no garbage, and a tenth of them is to look for it
    config = msgspec.json.decode(sys.argv[1], type=Config)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox.end_with_parent(config.parent)
    sandbox.ask_for_short_turns()
    sandbox.go_first_when_memory_runs_out()
    logging.basicConfig(format="%(message)s")
    sock = socket.socket(fileno=config.socket)
    worker = Worker(sock, Progress(config.progress), Spill(config.long))
    worker.watch(config.engine, _end)
    # Before the engine: libraries may handle faults, too (xgrammar's does), and who comes last is
    # asked first. That must be the engine, for which a fault is a trap of the guest.
    for path in config.services:
        worker.add(path)
    engine()
    alarm.keep_time_here()
    window.prepare()
    unfiltered = sandbox.enter()
    gc.freeze()  # what was imported stays: no collection need look at it again
    gc.enable()
    messages.send(sock, messages.number(0), messages.encode(messages.Started(unfiltered)))
    worker.run()


if __name__ == "__main__":
    # Under its own name, not as __main__: services import it too.
    from onecopy.guests.workers.worker import main as _main

    try:
        _main()
    except SystemExit as end:
        # Nothing is left to do that the kernel does not do, and sooner.
        sys.stderr.flush()
        os._exit(int(end.code or 0))
