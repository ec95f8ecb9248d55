"""The daemon as a process: how it starts, what makes it end, what it leaves behind."""

from __future__ import annotations

import gc
import os
import resource
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from onecopy import service_manager
from onecopy.errors import OnecopyError
from onecopy.segments import lease
from onecopy.store.daemon import log
from onecopy.store.daemon.loop import Loop
from onecopy.store.daemon.server import Server
from onecopy.store.messages import Refused
from onecopy.store.runtime import Place
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.store.daemon.config import Config
    from onecopy.store.daemon.directory import Directory

# Descriptors kept back from entries, for connections, pidfds and what opens for a moment.
_FD_RESERVE: Final = 512
_SD_LISTEN_FDS_START: Final = 3


def main(config: Config) -> int:
    """Run a store until it is told to stop; return the exit status."""
    place = Place(config.name, Path(config.base))
    try:
        lock = place.claim(config.group)
    except (OnecopyError, OSError) as error:
        log.warning(str(error))
        _say(config.ready, error)
        return 1
    try:
        _serve(config, place)
    except OnecopyError as error:
        log.warning(str(error))
        _say(config.ready, error)
        return 1
    except Exception as error:
        log.error(f"store {config.name!r} failed")
        _say(config.ready, error)
        return 1
    finally:
        place.remove(keep_log=config.keep_log, keep_socket=_activated())
        os.close(lock)
    return 0


def _activated() -> bool:
    """Say whether a service manager passed us the socket."""
    return os.environ.get("LISTEN_PID") == str(os.getpid()) and "LISTEN_FDS" in os.environ


def _serve(config: Config, place: Place) -> None:
    # Entries are many, live long and are in no cycles: look for garbage seldom.
    gc.set_threshold(50_000)
    loop = Loop()
    lease.prepare()
    loop.stop_on(signal.SIGTERM, signal.SIGINT)
    group = config.group is not None
    limit = _fd_limit()
    directory = _directory(config)
    server = Server(config.name, config.capacity, limit, loop, group=group, directory=directory)
    server.reopen()
    server.listen(_listener(config, place))
    place.pid.write_text(f"{os.getpid()}\n")
    if config.owner is not None:
        loop.add(config.owner, lambda _: loop.stop())
    if config.idle_exit is not None:
        _Idleness(server, loop, config.idle_exit).watch()
    log.info(f"store {config.name!r} serves {format_size(config.capacity)}")
    _say(config.ready, None)
    service_manager.notify("READY=1")
    loop.run()
    service_manager.notify("STOPPING=1")
    server.catalog.index.close()
    log.info(f"store {config.name!r} stopped with {len(server.catalog)} entries")


def _directory(config: Config) -> Directory | None:
    if config.directory is None:
        return None
    from onecopy.store.daemon.directory import Directory

    return Directory(Path(config.directory))


def _fd_limit() -> int:
    """Raise the soft limit on open files to the hard one; return what entries may take."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(hard - _FD_RESERVE, hard // 2)


def _listener(config: Config, place: Place) -> socket.socket:
    """Return the socket that the service manager passed, or one of our own."""
    if _activated():
        return socket.socket(fileno=_SD_LISTEN_FDS_START)
    listener = place.bind(0o600 if config.group is None else 0o660)
    if config.group is not None:
        os.chown(place.socket, -1, config.group)
    return listener


def _say(ready: int | None, error: Exception | None) -> None:
    """Tell who started us that the store serves, or why it does not."""
    if ready is None:
        return
    text = b"ready"
    if error is not None:
        import msgspec

        known = error if isinstance(error, OnecopyError) else OnecopyError(str(error))
        text = msgspec.json.encode(Refused.of(known))
    try:
        os.write(ready, text)
        os.close(ready)
    except OSError:
        pass  # Whoever started us is gone, or heard of it already.


class _Idleness:
    """Stops the daemon once nobody has been connected, or used an entry, for a while."""

    def __init__(self, server: Server, loop: Loop, seconds: float) -> None:
        self._server = server
        self._loop = loop
        self._seconds = seconds
        self._since = time.monotonic()

    def watch(self) -> None:
        if self._server.peers or self._server.catalog.any_in_use():
            self._since = time.monotonic()
        elif time.monotonic() - self._since >= self._seconds:
            log.info(f"idle for {self._seconds:g} s")
            self._loop.stop()
        self._loop.after(self._seconds / 10, self.watch)
