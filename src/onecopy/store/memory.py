"""How much a store may take: the machine's memory, or its control group's if less; or a disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_CGROUP = Path("/proc/self/cgroup")
_CGROUP_ROOT = Path("/sys/fs/cgroup")

# Version 1 writes a huge number for "no limit".
NO_LIMIT: Final = 1 << 60


def total() -> int:
    """Return the bytes of memory that this process's processes can have at most."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(machine, *limits(), NO_LIMIT)


def disk(path: Path) -> int:
    """Return the size in bytes of the file system where `path` is, or will be."""
    while not path.exists():
        path = path.parent
    facts = os.statvfs(path)
    return facts.f_blocks * facts.f_frsize


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
