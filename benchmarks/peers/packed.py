"""One value in one flat buffer: what the peers without a format of their own store."""

from __future__ import annotations

from typing import Any

from benchmarks.peers.base import ITEM, arrays


def layout(value: Any) -> list[int]:
    """The number of elements of each array, which is all that a reader needs."""
    return [len(array) for array in arrays(value)]


def nbytes(counts: list[int]) -> int:
    """Bytes of the flat buffer."""
    return sum(counts) * ITEM


def fill(flat: Any, value: Any) -> None:
    """Copy every array of ``value`` into the flat tensor, one after the other."""
    start = 0
    for array in arrays(value):
        flat[start : start + len(array)].copy_(array)
        start += len(array)


def cut(flat: Any, counts: list[int]) -> Any:
    """``flat`` itself for one array, otherwise a view for each."""
    if len(counts) == 1:
        return flat
    views, start = [], 0
    for count in counts:
        views.append(flat.as_strided((count,), (1,), start))
        start += count
    return views
