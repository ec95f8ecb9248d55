"""Where stores are found, and whether they answer."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from onecopy.cli.checks.check import Check, Status, judge
from onecopy.cli.stores import answers
from onecopy.errors import AccessDenied
from onecopy.store.runtime import ENVIRONMENT, Place, runtime_dir
from onecopy.units import format_size


def runtime_directory() -> Check:
    """Check that nobody else can put a socket where ours are looked for."""
    base = runtime_dir()
    try:
        Place("doctor").check()
    except FileNotFoundError:
        return Check("runtime directory", Status.OK, f"{base} (the first store makes it)")
    except AccessDenied as error:
        return Check(
            "runtime directory",
            Status.FAIL,
            str(error),
            f"set {ENVIRONMENT} to a directory of your own",
        )
    mode = stat.S_IMODE(base.stat().st_mode)
    private = not mode & 0o007
    detail = f"{base}, mode {mode:o}"
    return judge("runtime directory", private, detail, f"run `chmod 700 {base}`")


def running() -> Iterator[Check]:
    """Check that each store answers."""
    found = False
    for name, stats in answers():
        found = True
        if stats is None:
            yield _unresponsive(name)
        else:
            room = f"{format_size(stats.used)} of {format_size(stats.capacity)}"
            detail = f"answers: process {stats.pid}, {stats.entries} entries, {room}"
            yield Check(f"store {name}", Status.OK, detail)
    if not found:
        yield Check("stores", Status.OK, "none is running")


def _unresponsive(name: str) -> Check:
    place = Place(name)
    return Check(
        f"store {name}",
        Status.FAIL,
        "its daemon has its socket, but does not answer",
        f"see whether the process in {place.pid} is stopped (state T in ps), continue it with "
        f"`kill -CONT`, or end it with `kill -KILL` and start it anew; its log is {place.log}",
    )
