"""How much memory there is for a store."""

from __future__ import annotations

from pathlib import Path

from onecopy.cli.checks.check import Check, judge
from onecopy.store.launch import default_capacity
from onecopy.store.memory import NO_LIMIT, limits
from onecopy.units import format_size

_MEMINFO = Path("/proc/meminfo")


def free() -> Check:
    """Check that the capacity a store gets by default is there."""
    available, capacity = available_memory(), default_capacity()
    return judge(
        "free memory",
        available >= capacity,
        f"{format_size(available)} available; a store takes up to {format_size(capacity)} unless "
        "told otherwise",
        f"give a smaller `--capacity` (below {format_size(available)}), or free memory",
    )


def available_memory() -> int:
    """Return how many bytes processes can have without swapping."""
    for line in _MEMINFO.read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{_MEMINFO} has no MemAvailable")


def control_group() -> Check:
    """Check the limit on memory of the control group that a daemon started here would be in."""
    limit, capacity = min(limits(), default=NO_LIMIT), default_capacity()
    found = "no limit on memory" if limit >= NO_LIMIT else f"limit {format_size(limit)}"
    return judge(
        "control group",
        limit >= capacity,
        found,
        f"give a `--capacity` well below {format_size(limit)}: who goes over it is killed",
    )
