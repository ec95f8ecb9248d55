"""Guests as their users see them: a module in a worker, its windows, and calls into it."""

from __future__ import annotations

import logging
import weakref
from collections import deque
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import GuestError, ProtocolError, WorkerLost
from onecopy.guests.windows.sources import source_of, sources_of
from onecopy.guests.workers import calls, messages
from onecopy.guests.workers.function import Function
from onecopy.guests.workers.messages import CALL_KIND
from onecopy.guests.workers.pools import default_pool

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from onecopy.guests.wasm.module import Module
    from onecopy.guests.windows.source import Access, Source
    from onecopy.guests.workers.pool import Pool
    from onecopy.guests.workers.remote import WorkerProcess

log = logging.getLogger("onecopy.guests")

_LOGS: Final = 1000
_CALL: Final = bytes([CALL_KIND])


class Guest:
    """An instance of a WebAssembly module, in a worker process, with windows onto tensors.

        with Guest("filter.wasm", {"frame": (frame, "rw")}) as guest:
            guest.call("blur", 3)          # the guest reads and writes the frame's own pages

    Threads may share it; their calls take turns. A guest that fails is not called again, and one
    whose worker ended is gone: make a new one.

    Args:
        module: Wasm bytes, the path of a file, or what `Pool.module` returned.
        windows: by name, `(value, "r" | "rw")`; see `open_window`.
        streams: what the guest may copy ranges of, by position; values as for windows, and tensors
            of any size.
        config: bytes that the guest can ask for.
        pool: where it lives; without one, in a worker that all such guests share.
        tenant: whose it is. Guests of two tenants never share a worker.
        memory_limit: bytes of memory that it may have; what it writes to read-only windows counts.
        copy: copy what cannot be mapped, instead of refusing it.

    Raises:
        InvalidModule, GuestError, WindowRefused: it cannot be made, or failed at its start.
        LimitReached: all workers have guests of other tenants.
    """

    def __init__(
        self,
        module: Module | bytes | os.PathLike[str] | str,
        windows: Mapping[str, Any] | None = None,
        *,
        streams: Sequence[Any] = (),
        config: bytes = b"",
        pool: Pool | None = None,
        tenant: str = "",
        memory_limit: int | None = None,
        copy: bool = False,
    ) -> None:
        self._pool = pool = default_pool() if pool is None else pool
        pool.check_open()
        self._copy = copy
        self._functions: dict[str, Function] = {}
        # What windows and streams show is not to be used for something else meanwhile.
        self._owners: dict[str, object] = {}
        self._logs: deque[tuple[int, str]] = deque(maxlen=_LOGS)
        self._failure = ""
        self._seconds = 0.0
        compiled = pool.module(module)
        pool.offenders.check(tenant, compiled)
        self.name = compiled.digest[:8]
        """What its log lines start with."""
        self._number = next(pool.guest_numbers)
        self._worker = worker = pool.place(tenant)
        # A guest that its user forgot to close is closed when the next one is placed there.
        self._finalizer = weakref.finalize(self, worker.abandoned.append, self._number)
        self._finalizer.atexit = False
        limit = pool.memory_limit if memory_limit is None else memory_limit
        seconds = pool.start_seconds
        opening = calls.OpenGuest(self._number, compiled.digest, config, limit, seconds)
        try:
            worker.kept.add({self._number: len(streams)})
            worker.ensure(compiled)
            self._open(opening, windows or {}, streams)
        except BaseException:
            self.close()
            raise

    def _open(
        self, opening: calls.OpenGuest, windows: Mapping[str, Any], streams: Sequence[Any]
    ) -> None:
        # No window has such a name.
        numbered = {f"\0{number}": each for number, each in enumerate(streams)}
        with ExitStack() as stack:
            mapped = sources_of(windows, copy=self._copy)
            stack.callback(_close, mapped)
            copied = sources_of(numbered, copy=self._copy)
            stack.callback(_close, copied)
            message = msgspec.structs.replace(
                opening,
                windows=tuple((name, each.fields()) for name, each in mapped.items()),
                streams=tuple(each.fields() for each in copied.values()),
            )
            fds = tuple(each.fd for each in (*mapped.values(), *copied.values()))
            self._ask(message, fds, calls.open_seconds(message) + self._pool.grace_seconds)
            self._owners = {name: each.owner for name, each in (mapped | copied).items()}

    def __repr__(self) -> str:
        return f"<Guest {self.name} in worker {self._worker.index}{self._failure and ', failed'}>"

    def call(self, name: str, *numbers: float, timeout: float | None = None) -> Any:
        """Call a function with numbers; return its number, or None.

        Integers wrap around, as C's do. Read-only windows show their tensors as they are now.

        Args:
            name: an exported function.
            numbers: its arguments.
            timeout: seconds that the guest may run; the pool's `guest_ms` if None.

        Raises:
            GuestTimeout, GuestTrapped, GuestMemoryExceeded: it failed.
            WorkerLost: its worker ended, or hung and was ended.
            InvalidArgument: it has no such function.
        """
        function = self._functions.get(name) or self._prepare(name)
        seconds = self._pool.guest_seconds if timeout is None else timeout
        request = function.request(numbers, seconds)
        if self._failure:
            self._check()
        answer = self._worker.exchange(request, (), seconds + self._pool.grace_seconds)
        if answer[:1] != _CALL:
            return self._finish(answer, calls.Returned).value
        try:
            spent, value = calls.result(answer)
        except ProtocolError as error:
            raise self._worker.garbled() from error
        self._seconds += spent
        return value

    def _prepare(self, name: str) -> Function:
        self._check()
        prepared = self._ask(calls.Prepare(self._number, name))
        function = self._functions[name] = Function(name, self._number, prepared)
        return function

    def _ask(
        self, message: messages.Message, fds: tuple[int, ...] = (), timeout: float | None = None
    ) -> Any:
        answer = self._worker.exchange(messages.encode(message), fds, timeout)
        return self._finish(answer, message.answer)

    def _finish(self, answer: bytes, kind: Any) -> Any:
        """Take what an answer says, besides the answer itself."""
        reply = self._worker.decode(answer, kind)
        if isinstance(reply, (messages.Failed, calls.Returned)):
            self._seconds += reply.seconds
            for level, text in reply.logs:
                self._logs.append((level, text))
                # Repr: what a guest says may hold line breaks and terminal sequences.
                log.log(level, "%s: %r", self.name, text)
        if isinstance(reply, messages.Failed):
            if reply.ended:
                self._failure = reply.text
            raise reply.to_error()
        return reply

    def open_window(self, name: str, value: Any, access: Access = "r") -> None:
        """Show the guest a tensor from its next call on; a window of that name is replaced.

        Args:
            name: 1 to 39 bytes of UTF-8.
            value: a tensor in a store, or what else `source_of` takes.
            access: `"r"`: what the guest writes there is its own and dropped after each call;
                `"rw"`: all who have the tensor see it.

        Raises:
            WindowRefused: it cannot be mapped as it is; the text says what helps.
        """
        self._check()
        with source_of(value, access, copy=self._copy) as source:
            self._ask(calls.OpenWindow(self._number, name, source.fields()), (source.fd,))
            self._owners[name] = source.owner

    def close_window(self, name: str) -> None:
        """Take a window away; the guest finds zeros there."""
        self._check()
        self._ask(calls.CloseWindow(self._number, name))
        self._owners.pop(name, None)

    @property
    def logs(self) -> list[tuple[int, str]]:
        """The last 1000 lines that it logged: level, as in `logging`, and text."""
        return list(self._logs)

    @property
    def seconds(self) -> float:
        """How long its calls ran, all together, by the clock of its worker."""
        return self._seconds

    @property
    def worker(self) -> WorkerProcess:
        """Where it lives."""
        return self._worker

    @property
    def failed(self) -> bool:
        """Whether it is good for nothing but `close()`."""
        return bool(self._failure) or not self._worker.alive

    def _check(self) -> None:
        self._pool.check_open()
        if self._failure:
            raise GuestError(f"this guest is not called again: {self._failure}; make a new one")

    def close(self) -> None:
        """End it; twice is fine."""
        if self._finalizer.detach() is None:  # for whoever is first
            return
        self._failure = self._failure or "it was closed"
        try:
            self._worker.request(calls.CloseGuest(self._number))
        except WorkerLost:
            pass  # it took the guest along
        finally:
            self._owners.clear()
            self._worker.kept.remove(self._number)
            self._pool.leave(self._worker)

    def __enter__(self) -> Guest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close(sources: Mapping[Any, Source]) -> None:
    for each in sources.values():
        each.close()
