"""How much memory there is for a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from onecopy.cli.checks.check import Check, judge
from onecopy.store.launch import default_capacity
from onecopy.units import format_size

_MEMINFO = Path("/proc/meminfo")
_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")

# Version 1 writes a huge number for "no limit".
_NO_LIMIT = 1 << 60


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
    limit, capacity = min(limits(), default=_NO_LIMIT), default_capacity()
    found = "no limit on memory" if limit >= _NO_LIMIT else f"limit {format_size(limit)}"
    return judge(
        "control group",
        limit >= capacity,
        found,
        f"give a `--capacity` well below {format_size(limit)}: who goes over it is killed",
    )


def limits() -> Iterator[int]:
    """Yield the limits of this process's control group and of those that contain it."""
    for line in _CGROUP.read_text().splitlines():
        _, controllers, name = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        root = _CGROUP_ROOT / controllers
        file = "memory.limit_in_bytes" if controllers else "memory.max"
        folder = root / name.lstrip("/")
        for each in (folder, *folder.parents):
            if each.is_relative_to(root):
                yield from _limit(each / file)


def _limit(file: Path) -> Iterator[int]:
    try:
        text = file.read_text().strip()
    except OSError:  # The root has no limit; in a container parents may not be visible.
        return
    if text != "max":
        yield int(text)
