"""How much memory processes use, as the kernel counts it.

PSS (proportional set size) is the one figure that may be added up over processes: a
page that four of them share counts as a quarter in each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """The PSS of one process or of several, in bytes.

    `shared` is the part of it that lies in shared memory, where a store's entries live.
    """

    pss: int = 0
    shared: int = 0

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.pss + other.pss, self.shared + other.shared)

    def __sub__(self, other: Memory) -> Memory:
        return Memory(self.pss - other.pss, self.shared - other.shared)


def parse_rollup(text: str) -> Memory:
    """Read the text of a `/proc/<pid>/smaps_rollup`.

    >>> parse_rollup("Pss:  8 kB\\nPss_Shmem:  4 kB\\n")
    Memory(pss=8192, shared=4096)
    """
    sizes = {}
    for line in text.splitlines():
        key, _, rest = line.partition(":")
        if rest.endswith(" kB"):
            sizes[key] = int(rest.split()[0]) * 1024
    return Memory(sizes["Pss"], sizes.get("Pss_Shmem", 0))


def memory_of(pids: Iterable[int]) -> Memory:
    """Add up the memory of several processes."""
    rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(map(parse_rollup, rollups), Memory())
