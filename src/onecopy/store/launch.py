"""Starting daemons and connecting to them."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from onecopy.errors import StoreUnavailable
from onecopy.store import memory
from onecopy.store.client import Store
from onecopy.store.daemon.config import MODULE, Config
from onecopy.store.messages import Refused
from onecopy.store.runtime import Place
from onecopy.units import parse_size

if TYPE_CHECKING:
    from collections.abc import Sequence

_STOP_SECONDS: Final = 10.0

# Daemons that this process owns, so that they end before it does rather than just after.
_owned: list[tuple[int, subprocess.Popen[bytes]]] = []


def start(
    name: str,
    *,
    dir: str | os.PathLike[str] | None = None,  # the word for it everywhere
    capacity: int | str | None = None,
    direct: bool | None = None,
) -> Store:
    """Start a store that belongs to this process, and connect to it.

    Its daemon ends when the store is closed or this process ends, however it ends; a forked
    child of this process does not keep it. Use `onecopy serve` for a store of its own.

    Args:
        name: letters, digits, `.`, `_` and `-`.
        dir: keep entries as files in this directory, which is made if need be: they are there
            again whenever a store is started on it. None keeps them in memory.
        capacity: bytes, or text such as `"8GiB"`; if None, half of the memory or, for a
            directory, all of its file system.
        direct: see `connect`.

    Raises:
        StoreRunning: a store of that name runs already, or another one on that directory.
    """
    place = Place(name)
    owner = os.pidfd_open(os.getpid())
    try:
        config = Config(
            name=name,
            base=str(place.base.absolute()),
            capacity=default_capacity(dir) if capacity is None else parse_size(capacity),
            owner=owner,
            keep_log=False,
            directory=absolute(dir),
        )
        process = spawn(config, pass_fds=[owner])
    finally:
        os.close(owner)
    _owned.append((os.getpid(), process))
    return Store(name, direct=direct, base=place.base, stop=lambda: _stop(process))


def connect(name: str, *, timeout: float = 30, direct: bool | None = None) -> Store:
    """Connect to a running store.

    Args:
        name: the store's name.
        timeout: seconds to wait until it is up: 0 not at all, -1 for ever. Afterwards the
            handle reconnects by itself when the store is restarted.
        direct: None opens entries by way of /proc/<daemon>/fd where it can, and asks the daemon
            for descriptors elsewhere (another pid namespace or user); False always asks.

    Raises:
        StoreUnavailable: no store of that name answered in time.
    """
    return Store(name, timeout=timeout, direct=direct)


def default_capacity(dir: str | os.PathLike[str] | None = None) -> int:
    """Return half of the memory that this machine, or its control group, has.

    For a directory it is the size of its file system: a full disk is noticed in time.
    """
    return memory.total() // 2 if dir is None else memory.disk(Path(dir).absolute())


def absolute(dir: str | os.PathLike[str] | None) -> str | None:
    """Return the directory of a store as its daemon needs it, which works in another one."""
    return None if dir is None else str(Path(dir).absolute())


def command(config: Config) -> list[str]:
    """Return the command line of a daemon; it needs `environment()`."""
    # -S: the site module would look at every installed package; `environment` names the two
    # folders that the daemon needs.
    return [sys.executable, "-S", "-m", MODULE, config.to_argument()]


def spawn(config: Config, pass_fds: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start a daemon in a session of its own, and return once it serves."""
    place = Place(config.name, Path(config.base))
    place.create(config.group)
    reader, writer = os.pipe()
    config = msgspec.structs.replace(config, ready=writer)
    try:
        with place.log.open("ab") as log:
            process = subprocess.Popen(
                command(config),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[writer, *pass_fds],
                start_new_session=True,
                cwd="/",
                env=environment(),
            )
    finally:
        os.close(writer)
    _await_ready(reader, process, place)
    return process


def environment() -> dict[str, str]:
    """Return an environment in which a daemon finds this package, and the one it needs."""
    folders = [str(Path(module).parents[levels]) for module, levels in _NEEDED]
    inherited = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [*folders, inherited]))}


_NEEDED: Final = ((__file__, 2), (str(msgspec.__file__), 1))


def _await_ready(reader: int, process: subprocess.Popen[bytes], place: Place) -> None:
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    if answer == b"ready":
        return
    process.wait()
    if answer:
        raise msgspec.json.decode(answer, type=Refused).to_error()
    raise StoreUnavailable(f"the daemon ended at its start; {place.log} may say why")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a daemon that this process owns, and wait until it has cleaned up."""
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _owned[:] = [each for each in _owned if each[1] is not process]


def _stop_all() -> None:
    for pid, process in list(_owned):
        if pid == os.getpid():  # Not in a forked child, which inherits the list.
            _stop(process)


atexit.register(_stop_all)
