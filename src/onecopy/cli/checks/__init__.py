"""What `onecopy doctor` checks: functions that each return one `Check`.

kernel      memfds, seals, leases, /proc, the pulse
limits      what the administrator set: overcommit, open files, maps, huge pages
memory      how much there is, and how much this control group may take
guests      Landlock
packages    Python, torch, numpy
stores      the runtime directory, and each running store
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.cli.checks import guests, kernel, limits, memory, packages, stores
from onecopy.cli.checks.check import Check, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Check", "Status", "examine"]

_CHECKS: tuple[Callable[[], Check], ...] = (
    *(packages.python, packages.torch, packages.numpy),
    *(kernel.memfd, kernel.noexec, kernel.lease, kernel.proc, kernel.pulse),
    *(limits.overcommit, limits.open_files, limits.maps, limits.huge_pages),
    *(memory.free, memory.control_group),
    guests.landlock,
    stores.runtime_directory,
)


def examine() -> Iterator[Check]:
    """Carry out all checks, one by one. A check that cannot be carried out has failed."""
    for function in _CHECKS:
        try:
            yield function()
        except Exception as error:
            yield Check(
                function.__name__.replace("_", " "),
                Status.FAIL,
                f"the check itself failed: {type(error).__name__}: {error}",
                "this may be a fault of onecopy; please report it with the output of uname -a",
            )
    yield from stores.running()
