"""`serve` and `stop`: daemons of their own."""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from onecopy.cli.arguments import StoreName, duration, group_id, size
from onecopy.cli.output import hint, printable, stdout
from onecopy.errors import StoreUnavailable, WaitTimeout
from onecopy.units import format_size

if TYPE_CHECKING:
    from onecopy.store.daemon.config import Config


Directory = Annotated[
    Path | None,
    typer.Option(
        "--dir",
        metavar="PATH",
        help="Keep entries as files in this directory, and find them there again.",
    ),
]
Capacity = Annotated[
    int | None,
    typer.Option(
        parser=size,
        metavar="SIZE",
        help="How much it may take, such as 8GiB; if not given, half of this machine's memory "
        "or, with --dir, all of the disk.",
    ),
]
Foreground = Annotated[
    bool,
    typer.Option("--foreground", help="Stay, and log here; for service managers and ^C."),
]
IdleExit = Annotated[
    float | None,
    typer.Option(
        parser=duration,
        metavar="DURATION",
        help="End when nobody has been connected for so long, such as 10m.",
    ),
]
Group = Annotated[
    int | None,
    typer.Option(
        parser=group_id, metavar="GROUP", help="A group whose members may connect, and load."
    ),
]


def serve(
    name: Annotated[
        str, typer.Argument(metavar="STORE", help="What to call the store.", show_default=False)
    ],
    directory: Directory = None,
    capacity: Capacity = None,
    foreground: Foreground = False,
    idle_exit: IdleExit = None,
    group: Group = None,
) -> None:
    """Run a store: in the background, until `onecopy stop` or the next boot.

    With --foreground it takes a socket from its service manager
    (LISTEN_FDS), and says when it is ready (NOTIFY_SOCKET, Type=notify).
    """
    config = _config(name, directory, capacity, idle_exit, group)
    if foreground:
        _become(config)
    _spawn(config)


def _config(
    name: str,
    directory: Path | None,
    capacity: int | None,
    idle_exit: float | None,
    group: int | None,
) -> Config:
    from onecopy.store.daemon.config import Config
    from onecopy.store.launch import absolute, default_capacity
    from onecopy.store.runtime import Place

    return Config(
        name=name,
        base=str(Place(name).base.absolute()),
        capacity=default_capacity(directory) if capacity is None else capacity,
        directory=absolute(directory),
        idle_exit=idle_exit,
        group=group,
    )


def _become(config: Config) -> NoReturn:
    """Turn this process into the daemon: who watches it has the right process."""
    from onecopy.store.launch import command, environment

    line = command(config)
    os.execve(line[0], line, environment())


def _spawn(config: Config) -> None:
    from onecopy.store.launch import spawn
    from onecopy.store.runtime import Place

    place = Place(config.name, Path(config.base))
    earlier = place.log.stat().st_size if place.log.exists() else 0
    process = spawn(config)
    console = stdout()
    console.print(
        f"store {config.name!r} serves {format_size(config.capacity)} (process {process.pid})"
    )
    if config.directory is not None:
        console.print(f"  dir   {printable(config.directory)}")
    console.print(f"  log   {place.log}\n  pid   {place.pid}\n  stop  onecopy stop {config.name}")
    # The log is where a service manager looks; who has just lost an entry looks here.
    if left := _log_since(place.log, earlier).count("was left alone"):
        hint(f"{left} of the files there are no entries, or damaged; {place.log} names each")
    # It is to outlive this process, so nobody here will wait for it; say so to `Popen`.
    process.returncode = 0


def _log_since(log: Path, start: int) -> str:
    with log.open("rb") as file:
        file.seek(start)
        return file.read().decode(errors="replace")


def stop(
    store: StoreName,
    timeout: Annotated[
        float,
        typer.Option(parser=duration, metavar="DURATION", help="How long to wait for its end."),
    ] = 10,
) -> None:
    """Stop a store, and wait until it has gone. Those who hold its tensors keep them."""
    from onecopy.cli.stores import probe

    pidfd = _open_daemon(store, probe(store).pid)
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGTERM)
        if not _ended(pidfd, timeout):
            raise WaitTimeout(
                f"the store {store!r} has not ended within {timeout:g} s; give a longer --timeout"
            )
    finally:
        os.close(pidfd)
    stdout().print(f"store {store!r} stopped")


def _open_daemon(store: str, pid: int) -> int:
    """Return a pidfd of a daemon; it tells its pid itself, as its own pid namespace counts."""
    from onecopy.store.daemon.config import MODULE

    pidfd = -1
    try:
        pidfd = os.pidfd_open(pid)
        if MODULE.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return pidfd
    except OSError:
        pass
    if pidfd >= 0:
        os.close(pidfd)
    raise StoreUnavailable(
        f"the daemon of {store!r} says that it is process {pid}, which it is not here: it lives in "
        "another container; stop it there"
    )


def _ended(pidfd: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))
