"""What this process has mapped, as the kernel tells it."""

from __future__ import annotations

from pathlib import Path


def mappings_of(inode: int) -> list[tuple[int, int]]:
    """Return address and size of every mapping of a file; where two meet, the kernel decides."""
    found = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, _, number, *_ = line.split()
        if int(number) == inode:
            start, end = (int(address, 16) for address in span.split("-"))
            found.append((start, end - start))
    return found


def mapped_bytes(inode: int) -> int:
    """Return how much address space shows a file."""
    return sum(nbytes for _, nbytes in mappings_of(inode))
