"""Time cut into sections: the sets of buffers that live together, and no larger set does.

Whatever overlaps in time does so in some section, so nothing else about times matters to packing.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.planner.packing.buffer import Buffer

Spans = tuple[tuple[int, int], ...]
"""Ranges `[first, last)` of sections in which a buffer lives: one, or more if it has gaps."""


@dataclass(frozen=True)
class Sections:
    """Sections in order of time; the lists have one item for each."""

    times: list[int]
    """A time at which all of the section's buffers live."""
    needed: list[int]
    """The bytes that they need at least, one above the other."""
    spans: list[Spans]
    """Of each buffer, in the order of the problem; none for buffers of 0 bytes."""


def cut(buffers: Sequence[Buffer], padding: int) -> Sections:
    """Find the sections by one sweep over the times at which buffers start and end.

    `padding` is what all offsets are multiples of. So every buffer but the highest of a section
    takes whole multiples.
    """
    # Ends come first at the same time: what ends at 5 does not meet what starts at 5.
    events = sorted(
        (time, kind, index)
        for index, buffer in enumerate(buffers)
        if buffer.size
        for interval in buffer.intervals
        for kind, time in ((1, interval[0]), (0, interval[1]))
    )
    times: list[int] = []
    needed: list[int] = []
    firsts = [0] * len(buffers)
    spans: list[Spans] = [()] * len(buffers)
    spare = _Spare(buffers, padding)
    live, exact, latest, grown = 0, 0, 0, False
    for time, kind, index in events:
        size = buffers[index].size
        padded = -(-size // padding) * padding
        if kind:
            live, exact = live + padded, exact + size
            latest, grown = time, True
            firsts[index] = len(times)
            spare.add(index)
            continue
        if grown:
            times.append(latest)
            needed.append(max(live - spare.largest(time), exact))
            grown = False
        live, exact = live - padded, exact - size
        spans[index] = (*spans[index], (firsts[index], len(times)))
    return Sections(times, needed, spans)


class _Spare:
    """The most that one of the live buffers leaves of its last multiple: the highest may."""

    def __init__(self, buffers: Sequence[Buffer], padding: int) -> None:
        self._buffers = buffers
        self._padding = padding
        self._heap: list[tuple[int, int]] = []

    def add(self, index: int) -> None:
        buffer = self._buffers[index]
        # Its end, not that of the interval: in a gap the bound is lower for it, and still a bound.
        if spare := -buffer.size % self._padding:
            heapq.heappush(self._heap, (-spare, buffer.end))

    def largest(self, time: int) -> int:
        while self._heap and self._heap[0][1] < time:
            heapq.heappop(self._heap)
        return -self._heap[0][0] if self._heap else 0
