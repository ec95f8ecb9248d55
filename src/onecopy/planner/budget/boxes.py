"""Boxes of whole numbers: their ends and halves, and where the least bytes are in one."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from onecopy.errors import UnboundedDimension
from onecopy.planner.budget.form import Box, Form, Point

_FAR = 1 << 62


def least(form: Form, box: Box, deadline: float = math.inf) -> tuple[Any, Point]:
    """Return the least bytes in a box, and where; after the deadline, the least that was seen.

    Nowhere, and infinitely many, if the relations hold nowhere.
    """
    tie = itertools.count()
    directions = form.directions(box)
    box = tuple(_lowest_end(*each) for each in zip(box, directions, form.names, strict=True))
    heap: list[tuple[Any, int, Box]] = [(form.lowest(box), next(tie), box)]
    best: Any = math.inf
    place: Point = ()
    while heap and heap[0][0] < best:
        _, _, box = heapq.heappop(heap)
        for point in samples(box):
            if (value := form(point)) < best and form.allows(point):
                best, place = value, point
        if time.monotonic() > deadline:
            break
        for half in halves(box, [high - low for low, high in box]):
            if (bound := form.lowest(half)) < best and form.may_allow(half):
                heapq.heappush(heap, (bound, next(tie), half))
    return best, place


def capped(form: Form, box: Box, budget: int, wanted: Collection[str]) -> Box:
    """Give every parameter a highest value, beyond which nothing fits.

    Raises:
        UnboundedDimension: one of those that are wanted large has no highest value, and the bytes
            do not grow with it.
    """
    if all(high < math.inf for _, high in box):
        return box
    directions = form.slopes(box)
    corner = [_lowest_end(*each)[0] for each in zip(box, directions, form.names, strict=True)]
    result = list(box)
    for at, (low, high) in enumerate(box):
        if high == math.inf:
            idle = directions[at] == 0 and form.names[at] not in wanted
            result[at] = low, low if idle else _cap(form, corner, at, directions[at], budget)
    return tuple(result)


def _cap(form: Form, corner: Sequence[int], at: int, direction: int | None, budget: int) -> int:
    point = list(corner)
    step = 1
    while direction == 1 and step < _FAR:
        point[at] = corner[at] + step
        if form(point) > budget:
            return point[at]
        step *= 2
    raise _unbounded(form.names[at])


def _unbounded(name: str) -> UnboundedDimension:
    return UnboundedDimension(
        f"{name} has no upper bound, and the bytes do not grow with it beyond the budget; give it "
        f'one: subject_to={{"{name}": (None, …)}}'
    )


def _lowest_end(span: tuple[int, float], direction: int | None, name: str) -> tuple[int, float]:
    low, high = span
    if direction in (0, 1):
        return low, low
    if high == math.inf:
        raise _unbounded(name)
    return (int(high), int(high)) if direction == -1 else span


def samples(box: Box) -> Iterator[Point]:
    """Give a few points of a box; its only one, if it has no other."""
    ends = [tuple(dict.fromkeys((low, int(high)))) for low, high in box]
    yield tuple((low + int(high)) // 2 for low, high in box)
    yield from itertools.islice(itertools.product(*ends), 8)


def halves(box: Box, sizes: Sequence[float]) -> Iterator[Box]:
    """Cut the largest side in two; one point has no halves."""
    at = max(range(len(box)), key=lambda n: (box[n][1] > box[n][0], sizes[n]), default=None)
    if at is None or box[at][0] == box[at][1]:
        return
    low, high = box[at]
    middle = int(low + high) // 2
    yield (*box[:at], (middle + 1, high), *box[at + 1 :])
    yield (*box[:at], (low, middle), *box[at + 1 :])
