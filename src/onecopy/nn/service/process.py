"""The process that holds a model: how it starts, what makes it end, what it leaves behind."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from onecopy.errors import InferenceFailed, InvalidModel, ModelNotFound, OnecopyError
from onecopy.guests.workers.messages import contents
from onecopy.nn.backends import registry
from onecopy.nn.service import closing
from onecopy.nn.service.identity import identity
from onecopy.nn.service.launch import Config
from onecopy.nn.service.server import Server
from onecopy.nn.service.spot import Spot
from onecopy.nn.service.vigil import Vigil
from onecopy.store.daemon.loop import Loop

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Backend, TensorModel, TextModel

log = logging.getLogger("onecopy.nn")

_FILES: Final = 8192
_BACKLOG: Final = 512
_STDERR: Final = 2
_LOG_NBYTES: Final = 1 << 20
_LOOK_AFTER: Final = 10.0
_LONGEST_LOAD: Final = 300.0
"""After how many seconds at least a guest's model is given up that does not end loading."""
_REFUSING: Final = 5.0
"""How many seconds a process stays at most to tell those who wait why the model did not load."""


class Process:
    """Serves one model until nobody has used it for a while."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._spot = Spot(config.key, Path(config.folder))
        self._listener = socket.socket(fileno=config.listener)
        self._listener.setblocking(False)
        self._loop = Loop()
        self._empty_since = 0.0

    def run(self) -> None:
        """Load the model and serve it."""
        self._spot.sign(self._config.source.backend, self._config.name)
        source = self._config.source
        if source.foreign:
            self._leave_keeper()
        model = self._load()
        if not source.foreign:
            # Told to end while it loads, it ends at once; from here on it cleans up first.
            self._loop.stop_on(signal.SIGTERM, signal.SIGINT)
        self._server = Server(self._loop, model, self._config.name, source.backend, self._emptied)
        self._listener.listen(_BACKLOG)  # again: the kernel names us, not who started us
        if isinstance(model, OnecopyError):
            self._refuse()
            return
        self._serve()
        if hasattr(model, "close"):
            model.close()

    def _leave_keeper(self) -> None:
        """Have a process that cleans up: this one will not be able to change any file."""
        if child := os.fork():
            self._listener.close()
            os.waitpid(child, 0)
            with self._spot.locked():
                if not self._spot.runs():
                    self._spot.remove()
            os._exit(0)
        self._spot.sign(self._config.source.backend, self._config.name)

    def _close_off(self, backend: Backend) -> None:
        for lack in closing.close_off(self._config.memory, closing.code_of(backend)):
            log.warning("a model that a guest brought is less confined here: %s", lack)

    def _load(self) -> TensorModel | TextModel | OnecopyError:
        source = self._config.source
        try:
            backend = registry.find(source.backend)
            if source.foreign:
                self._close_off(backend)
            with Vigil(tuple, _LONGEST_LOAD) if source.foreign else nullcontext():
                model = backend.load(source)
            if identity(source, content=self._config.content) != self._config.key:
                raise ModelNotFound(
                    f"model {self._config.name!r} was replaced while it was loaded; load it again"
                )
        except OnecopyError as error:
            return error
        except MemoryError:
            return InferenceFailed(f"there is no memory for model {self._config.name!r}")
        except Exception as error:
            log.exception("a backend failed")
            return InvalidModel(
                f"backend {source.backend!r} does not load model {self._config.name!r}: "
                f"{type(error).__name__}: {error}"
            )
        return model

    def _serve(self) -> None:
        self._loop.add(self._listener.fileno(), self._accept)
        # Who started us may be gone by now.
        self._emptied(_LOOK_AFTER)
        self._keep_log_short()
        self._loop.run()
        if self._listener.fileno() >= 0:  # told to end
            with self._locked():
                self._close()

    def _accept(self, _: int) -> None:
        self._server.accept(self._listener)

    def _refuse(self) -> None:
        """Tell everybody who waits why there is no model; who comes later has it tried again."""
        with self._locked():
            if not self._config.source.foreign:
                self._spot.place.socket.unlink(missing_ok=True)
        self._loop.add(self._listener.fileno(), self._accept)
        self._end_without_peers(time.monotonic() + _REFUSING)
        self._loop.run()
        self._listener.close()
        with self._locked():
            if not (self._config.source.foreign or self._spot.runs()):
                self._spot.remove()

    def _end_without_peers(self, latest: float) -> None:
        more = self._server.accept(self._listener)
        if time.monotonic() > latest or not (more or self._server.peers):
            self._loop.stop()
        else:
            self._loop.after(0.01, lambda: self._end_without_peers(latest))

    def _emptied(self, idle: float) -> None:
        since = self._empty_since = time.monotonic()
        self._loop.after(idle, lambda: self._end_if_idle(since))

    def _end_if_idle(self, since: float) -> None:
        if self._server.users or self._empty_since != since:
            return
        with self._locked_at_once() as mine:
            # Without the lock, somebody is about to connect.
            if not mine or self._server.accept(self._listener) or self._server.peers:
                self._loop.after(0.05, lambda: self._end_if_idle(since))
                return
            self._close()
        self._loop.stop()

    def _close(self) -> None:
        """Listen no more; with the lock held. Who just connected is told by the end of that."""
        self._listener.close()
        if not self._config.source.foreign:
            self._spot.remove()

    def _locked(self) -> AbstractContextManager[object]:
        """Have the lock; a keeper has it for a process that is closed off."""
        return nullcontext() if self._config.source.foreign else self._spot.locked()

    def _locked_at_once(self) -> AbstractContextManager[bool]:
        return nullcontext(True) if self._config.source.foreign else self._spot.locked_at_once()

    def _keep_log_short(self) -> None:
        if os.fstat(_STDERR).st_size > _LOG_NBYTES:
            os.ftruncate(_STDERR, 0)
        self._loop.after(_LOOK_AFTER, self._keep_log_short)


def main(told: int) -> None:
    """Run the process of a model, as the memfd says."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # Each user is a connection, and those who start us may have a limit of 1024.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _FILES), hard))
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    Process(msgspec.json.decode(contents(told), type=Config)).run()
    logging.shutdown()
    os._exit(0)  # Nothing is left to do: to take libraries down would take seconds.
