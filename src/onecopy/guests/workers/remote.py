"""The engine's side of one worker process: starting it, asking it, noticing its end."""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import InvalidArgument, ProtocolError, WorkerLost
from onecopy.guests.workers import messages
from onecopy.guests.workers.kept import Kept
from onecopy.guests.workers.last_used import LastUsed
from onecopy.guests.workers.line import PATIENCE, Line
from onecopy.guests.workers.messages import Failed, Started
from onecopy.guests.workers.spawn import spawn
from onecopy.guests.workers.spill import Spill

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.guests.wasm.module import Module
    from onecopy.guests.workers.messages import Message

log = logging.getLogger("onecopy.guests")

_END_SECONDS: Final = 2.0
_WORDS_NBYTES: Final = 1 << 16
# Somebody else ended it, or a window's segment was cut short.
_NOT_ITS_FAULT: Final = {0, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGBUS}


class WorkerProcess:
    """One process, from its start to its end; a pool replaces it by another.

    Usable from several threads: requests take turns. Its starting thread must outlive it.
    """

    def __init__(self, index: int, services: tuple[str, ...]) -> None:
        self.index = index
        self.tenant: str | None = None
        """Whose guests live here; None until there are some. It never changes after that."""
        self.guests = 0
        """How many were placed here."""
        self.kept = Kept()
        """Descriptors that it was given to keep."""
        self.abandoned: list[int] = []
        """Guests that nobody has any more, to be closed."""
        self.unfiltered = ""
        """Why its system calls are not filtered, if they are not."""
        self.reason = ""
        """Why it was killed, if it was; then how it ended."""
        self.alive = True
        self.blamed = False
        """Whether what it was doing at its end is to blame for it."""
        self._state = threading.Lock()
        self._finished = threading.Event()
        self._starter = threading.get_ident()
        self._modules = LastUsed()
        self._decoders: dict[type, messages.Decoder] = {}
        self._callbacks: list[Callable[[WorkerProcess], object]] = []
        self.serves = False
        self._spawned = spawned = spawn(services)
        self._line = Line(spawned.sock, Spill(spawned.long), self._kill_late, self.lost)
        self.progress = spawned.progress
        self.pid = spawned.process.pid
        self.pidfd = spawned.pidfd
        self.started = time.monotonic()

    def __repr__(self) -> str:
        return f"<WorkerProcess {self.index}, pid {self.pid}{'' if self.alive else ', ended'}>"

    @property
    def ready(self) -> bool:
        """Whether guests can be placed here: it serves, and nobody is ending it."""
        return self.alive and self.serves and not self.reason

    def fileno(self) -> int:
        """The socket; readable when it is ready, before the first request."""
        return self._line.fileno()

    def await_ready(self) -> None:
        """Return once it serves; for its starting thread.

        Raises:
            WorkerLost: it ended instead.
        """
        self.unfiltered = self.decode(self._line.welcome(), Started).unfiltered
        self.serves = True

    def request(
        self, message: Message, fds: tuple[int, ...] = (), timeout: float | None = None
    ) -> Any:
        """Send a message and return what answers it; the error that it carries is raised.

        Raises:
            WorkerLost: the worker ended; or it did not answer in `timeout` seconds, and was ended.
        """
        reply = self.decode(self.exchange(messages.encode(message), fds, timeout), message.answer)
        if isinstance(reply, Failed):
            raise reply.to_error()
        return reply

    def decode(self, answer: memoryview | bytes, kind: Any) -> Any:
        """Parse an answer: of a class, or `Failed`."""
        decoder = self._decoders.get(kind)
        if decoder is None:
            decoder = self._decoders[kind] = messages.Decoder(kind, Failed)
        try:
            return decoder(answer)
        except ProtocolError as error:
            raise self.garbled() from error

    def garbled(self) -> WorkerLost:
        """End it, since it sends what is no message; return the error for that."""
        self.kill("it sent what is no answer", fault=True)
        return self.lost()

    def exchange(
        self, data: bytes, fds: tuple[int, ...] = (), timeout: float | None = None
    ) -> bytes:
        """Send a request as it is, and return the answer as it is."""
        return self._line.exchange(data, fds, PATIENCE if timeout is None else timeout)

    def send(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send a message that gets no answer."""
        if message.answer is not None:
            raise InvalidArgument(f"{type(message).__name__} is answered: use request()")
        self._line.send(messages.encode(message), fds)

    def ensure(self, module: Module) -> None:
        """Give it a module, unless it has it.

        Raises:
            InvalidModule: the module cannot be a guest.
        """
        if module.digest not in self._modules:
            fd = messages.memfd(module.native)
            try:
                self.request(messages.Load(module.digest), (fd,))
            finally:
                os.close(fd)
        for oldest in self._modules.use(module.digest, len(module.native)):
            self.request(messages.Forget(oldest))

    def on_lost(self, callback: Callable[[WorkerProcess], object]) -> None:
        """Call back when it has ended, from the watchdog's thread; now, if it has already."""
        with self._state:
            if self.alive:
                self._callbacks.append(callback)
                return
        callback(self)

    def off_lost(self, callback: Callable[[WorkerProcess], object]) -> None:
        """Call back no more; whom nobody took off is kept for as long as the worker."""
        with self._state, contextlib.suppress(ValueError):
            self._callbacks.remove(callback)

    def kill(self, reason: str, *, fault: bool = False) -> None:
        """End it; what waits for it gets `WorkerLost`.

        `fault` says that whatever it does right now is to blame.
        """
        with self._state:
            if self.alive:
                self.blamed = self.blamed or fault
                self.reason = self.reason or reason
                with contextlib.suppress(ProcessLookupError):  # it has ended just now
                    signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def _kill_late(self, reason: str) -> None:
        self.kill(reason, fault=True)

    def finish(self, tell: Callable[[WorkerProcess], object]) -> None:
        """Clean up after its end, which is awaited; from its starting thread only.

        `tell` is called before those who wait for the worker hear of it.
        """
        status = self._spawned.process.wait()
        with self._state:
            if not self.alive:
                return
            self.blamed = self.blamed or status not in _NOT_ITS_FAULT
            self.reason = self.reason or f"{_ending(status)}{self._last_words()}"
            self.alive = False
            callbacks, self._callbacks = self._callbacks, []
        tell(self)
        self._finished.set()
        self._line.retire(self._spawned.close)
        for callback in callbacks:
            call_back(callback, self)

    def _last_words(self) -> str:
        with contextlib.suppress(BlockingIOError):
            text = os.read(self._spawned.errors, _WORDS_NBYTES).decode(errors="replace").strip()
            return f", saying {text[-1000:]!r}" if text else ""
        return ""

    def forsake(self) -> None:
        """Drop it in a forked child, whose parent goes on with it."""
        self._state = threading.Lock()
        self._line.forsake()
        self._spawned.process.returncode = 0  # it is no child of this process: nothing to wait for
        if self.alive:
            self.alive = False
            self.reason = "it belongs to the process that this one was forked from"
            self._finished.set()
            self._spawned.close()

    def lost(self) -> WorkerLost:
        """Return the error for its end."""
        # The starting thread does not wait: it is the one that says how it ended.
        if threading.get_ident() != self._starter and not self._finished.wait(_END_SECONDS):
            self.kill("it closed its end of the socket", fault=True)
            self._finished.wait(_END_SECONDS)
        return WorkerLost(
            f"worker {self.index} (pid {self.pid}) is gone: {self.reason or 'it ended'}; "
            "open the guest again"
        )

    def memory(self) -> int:
        """Return how much memory it has for itself, in bytes: windows are not counted."""
        with self._state:
            if not self.alive:
                return 0
            try:
                _, resident, shared, *_ = os.pread(self._spawned.statm, 200, 0).split()
            except ProcessLookupError:  # it has ended, and nobody has noticed yet
                return 0
        return (int(resident) - int(shared)) * mmap.PAGESIZE


def call_back(callback: Callable[[WorkerProcess], object], worker: WorkerProcess) -> None:
    """Tell somebody about a worker; what they get wrong is logged, and stops nobody."""
    try:
        callback(worker)
    except Exception:
        log.exception("a callback about %r failed", worker)


def _ending(status: int) -> str:
    if status < 0:
        known = {int(each): each.name for each in signal.Signals}
        return f"it was ended by {known.get(-status, f'signal {-status}')}"
    return f"it ended with status {status}"
