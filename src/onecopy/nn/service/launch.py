"""Finding the process of a model, or starting it; and the first words with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from onecopy.errors import BackendLost, ModelNotFound, OnecopyError, ProtocolError
from onecopy.forks import no_fork
from onecopy.guests.workers import messages as memory
from onecopy.nn.backends import registry
from onecopy.nn.backends.backend import Source
from onecopy.nn.service import messages, spot
from onecopy.nn.service.closing import libraries
from onecopy.nn.service.identity import identity
from onecopy.nn.service.messages import Hello, Refused, Welcome
from onecopy.nn.service.spot import Spot
from onecopy.store import wire
from onecopy.store.runtime import ENVIRONMENT

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from onecopy.store.client import Store

MODULE: Final = "onecopy.nn.service"

# What libraries look at, and where stores are. Nothing else of a host's environment is theirs.
_INHERITED: Final = (
    ENVIRONMENT,
    "XDG_RUNTIME_DIR",
    "LD_LIBRARY_PATH",
    "HOME",
    "TMPDIR",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
)

# A process may end just when somebody connects; more often than that, something is wrong.
_TRIES: Final = 5


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is told: in a memfd, for other users see command lines."""

    source: Source
    name: str
    """What the model is called, for people."""
    key: str
    folder: str
    listener: int
    content: str = ""
    memory: int = 0
    """How many bytes a process with a foreign model may have."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A model that somebody wants to use."""

    source: Source
    name: str
    config: str = ""
    idle: float = 60.0
    content: str = ""
    """For what a guest brought: a digest of it."""
    fds: tuple[int, ...] = ()
    """For what a guest brought: sealed memfds, in the order of `source.files`."""
    memory: int = 0


def hello_of(wanted: Wanted) -> Hello:
    """Return the first message of who wants a model."""
    return Hello(messages.VERSION, wanted.config, wanted.idle)


def open_connection(wanted: Wanted, store: Store | None = None) -> tuple[socket.socket, Welcome]:
    """Connect to the process that has a model, which is started if need be.

    Raises:
        ModelNotFound, InvalidModel, BackendMissing: as the backend says.
        BackendLost: the process ended while it loaded the model.
    """
    for _ in range(_TRIES):
        key = identity(wanted.source, store, wanted.content)
        place = Spot(key)
        sock, started = _find_or_start(place, wanted)
        try:
            welcome = greet(sock, hello_of(wanted))
        except ModelNotFound:
            sock.close()
            if identity(wanted.source, store, wanted.content) == key:
                raise
            continue  # It was replaced while it was loaded.
        except BaseException:
            sock.close()
            raise
        if welcome is not None:
            return sock, welcome
        sock.close()
        if started:
            break
    raise BackendLost(
        f"the process for model {wanted.name!r} ended while it loaded it{place.last_words()}"
    )


def greet(sock: socket.socket, hello: Hello) -> Welcome | None:
    """Shake hands; None if the other side is gone."""
    try:
        wire.send(sock, messages.encode(hello))
    except (BrokenPipeError, ConnectionResetError):
        return None
    return welcome_from(sock)


def welcome_from(sock: socket.socket) -> Welcome | None:
    """Return the answer to `Hello`; None if the other side is gone."""
    try:
        data, fds = wire.receive(sock)
    except (BrokenPipeError, ConnectionResetError):
        return None
    wire.close_all(fds)
    if not data:
        return None
    reply = messages.decode_reply(data)
    if isinstance(reply, Refused):
        raise reply.to_error()
    if not isinstance(reply, Welcome) or reply.version != messages.VERSION:
        raise ProtocolError("the process for this model speaks another version; end it")
    return reply


def _find_or_start(place: Spot, wanted: Wanted) -> tuple[socket.socket, bool]:
    sock = place.connect()
    if sock is not None:
        return sock, False
    with place.locked():
        sock = place.connect()
        if sock is not None:
            return sock, False
        _start(place, wanted)
        sock = place.connect()
    spot.sweep(but=place)
    if sock is None:
        raise BackendLost(
            f"the process for model {wanted.name!r} ended at its start{place.last_words()}"
        )
    return sock, True


def _start(place: Spot, wanted: Wanted) -> None:
    """Start a process that listens already: who connects waits until the model is loaded."""
    # A forked child that has the listener would keep it open, with nobody behind it.
    with no_fork, place.place.bind() as listener:
        config = Config(
            source=wanted.source,
            name=wanted.name,
            key=place.key,
            folder=str(place.place.base),
            listener=listener.fileno(),
            content=wanted.content,
            memory=wanted.memory,
        )
        told = memory.memfd(msgspec.json.encode(config))
        try:
            with place.place.log.open("wb"), place.place.log.open("ab") as log:
                _spawn(told, (told, listener.fileno(), *wanted.fds), log.fileno(), wanted.source)
        finally:
            os.close(told)


def _spawn(told: int, fds: Sequence[int], log: int, source: Source) -> None:
    process = subprocess.Popen(
        # In a session of its own: a terminal's Ctrl-C is not for it.
        [sys.executable, "-s", "-B", "-m", MODULE, str(told)],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        pass_fds=fds,
        start_new_session=True,
        cwd="/",
        env=_environment(source),
    )
    # It forks at once, so that it is nobody's child to be waited for.
    if process.wait() != 0:
        raise OnecopyError("the process for a model could not be started")


def _nothing(_: Source) -> tuple[str, ...]:
    return ()


def _environment(source: Source) -> dict[str, str]:
    named = getattr(registry.find(source.backend), "environment", _nothing)(source)
    wanted = (*_INHERITED, *named)
    kept = {name: os.environ[name] for name in wanted if name in os.environ}
    path = [str(Path(__file__).parents[3]), *(str(Path(each).absolute()) for each in sys.path)]
    if source.foreign:
        path = libraries()
    return {**kept, "LC_ALL": "C.UTF-8", "PYTHONPATH": os.pathsep.join(path)}
