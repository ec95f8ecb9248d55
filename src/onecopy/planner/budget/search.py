"""The best whole numbers under a budget: branch and bound over boxes.

A. H. Land, A. G. Doig, An automatic method of solving discrete programming problems (1960). Where
bytes only grow, or only fall, with a parameter, a box is judged by one of its corners and is cut
by bisection; elsewhere by interval arithmetic, which is slower but never wrong.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from onecopy.planner.budget.boxes import halves, samples
from onecopy.planner.budget.form import Box, Form, Point
from onecopy.planner.budget.relaxed import Relaxed


@dataclass(frozen=True)
class Found:
    """The best point, and whether none is better."""

    point: Point
    exhaustive: bool


class Search:
    """Maximizes the sum of `weights` times values in a box, under a budget of bytes.

    It begins with a point that fits.
    """

    def __init__(
        self, form: Form, box: Box, weights: Sequence[int], budget: int, start: Point
    ) -> None:
        self._form = form
        self._budget = budget
        self._weights = weights
        self._directions = form.directions(box)
        self._box = self._settled(box)
        self._monotone = None not in self._directions
        self._grows = all(
            direction == 1 or low == high
            for direction, (low, high) in zip(self._directions, self._box, strict=True)
        )
        self._relaxed = (
            Relaxed.of(form.expression, form.symbols, self._box) if self._grows else None
        )
        self._widths = [max(high - low, 1) for low, high in self._box]
        self._best = start
        self._reached = self._value(start)

    def run(self, deadline: float = math.inf) -> Found:
        """Return the best point; after the deadline, the best that was seen."""
        tie = itertools.count()
        heap = [(-self._corner_bound(self._box), next(tie), self._box)]
        while heap and -heap[0][0] > self._reached:
            _, _, box = heapq.heappop(heap)
            cut = self._cut(box)
            if cut is None:
                continue
            self._try(cut)
            if self._bound(cut) > self._reached:
                for half in halves(cut, self._sizes(cut)):
                    heapq.heappush(heap, (-self._corner_bound(half), next(tie), half))
            if time.monotonic() > deadline:
                break
        return Found(self._best, not heap or -heap[0][0] <= self._reached)

    def _settled(self, box: Box) -> Box:
        """Fix parameters for which the best value for the aim takes the least bytes as well."""
        settled = []
        for (low, high), weight, direction in zip(
            box, self._weights, self._directions, strict=True
        ):
            if direction is not None and direction * weight <= 0:
                upward = weight > 0 or (weight == 0 and direction < 0)
                low = high = int(high) if upward else low
            settled.append((low, high))
        return tuple(settled)

    def _cut(self, box: Box) -> Box | None:
        """Return the part of a box in which something may fit; None if there is none."""
        if not self._monotone:
            fits = self._form.lowest(box) <= self._budget and self._form.may_allow(box)
            return box if fits else None
        corner = self._corner(box)
        if self._form(corner) > self._budget:
            return None
        return tuple(
            span if span[0] == span[1] else self._cut_side(corner, at, span)
            for at, span in enumerate(box)
        )

    def _cut_side(self, corner: Point, at: int, span: tuple[int, float]) -> tuple[int, float]:
        far = self._farthest(corner, at, span)
        return (corner[at], far) if self._directions[at] == 1 else (far, corner[at])

    def _farthest(self, start: Point, at: int, span: tuple[int, float]) -> int:
        """Return how far a parameter may be from where it takes least, with the others as they are.

        `start` fits.
        """
        point = list(start)
        fits, ends = start[at], int(span[1] if self._directions[at] == 1 else span[0])
        point[at] = ends
        if self._form(point) <= self._budget:
            return ends
        while abs(ends - fits) > 1:
            point[at] = middle = (fits + ends) // 2
            if self._form(point) <= self._budget:
                fits = middle
            else:
                ends = middle
        return fits

    def _corner(self, box: Box) -> Point:
        """Return where a box takes the least bytes (where it is monotone)."""
        return tuple(
            int(high) if direction == -1 else low
            for (low, high), direction in zip(box, self._directions, strict=True)
        )

    def _try(self, box: Box) -> None:
        """Look for good points in a box."""
        if not self._monotone:
            for point in samples(box):
                if self._form(point) <= self._budget and self._form.allows(point):
                    self._offer(point)
            return
        corner = self._corner(box)
        moving = [at for at, (low, high) in enumerate(box) if low != high]
        for order in itertools.islice(itertools.permutations(moving), 6):
            point = corner
            for at in order:
                far = self._farthest(point, at, box[at])
                point = (*point[:at], far, *point[at + 1 :])
            self._offer(point)

    def _offer(self, point: Point) -> None:
        value = self._value(point)
        if value > self._reached:
            self._best, self._reached = point, value

    def _value(self, point: Point) -> int:
        return sum(weight * each for weight, each in zip(self._weights, point, strict=True))

    def _bound(self, box: Box) -> int:
        """Return what no point of a box that fits is better than."""
        bound = self._corner_bound(box)
        if self._relaxed is None or bound <= self._reached:
            return bound
        low, high = tuple(low for low, _ in box), tuple(int(high) for _, high in box)
        for value, slopes in self._relaxed.linear(low, high):
            bound = min(bound, self._knapsack(box, self._budget - value, slopes))
        return bound

    def _knapsack(self, box: Box, room: Any, slopes: Sequence[Any]) -> int:
        """Fill the room with what brings most for its bytes (G. B. Dantzig, 1957)."""
        value = self._value(tuple(low for low, _ in box))
        costly = []
        for (low, high), weight, slope in zip(box, self._weights, slopes, strict=True):
            if slope <= 0:  # It costs nothing, or gives room.
                value += weight * int(high - low)
                room -= slope * int(high - low)
            elif high > low:
                costly.append((weight, slope, int(high - low)))
        if room < 0:
            return self._reached
        costly.sort(key=lambda each: Fraction(each[0]) / each[1], reverse=True)
        for weight, slope, steps in costly:
            if slope * steps > room:
                return value + int(room * weight // slope)
            value += weight * steps
            room -= slope * steps
        return value

    def _corner_bound(self, box: Box) -> int:
        return sum(
            weight * int(high if weight > 0 else low)
            for weight, (low, high) in zip(self._weights, box, strict=True)
        )

    def _sizes(self, box: Box) -> list[float]:
        """Say for each side how much there is to gain by halving it."""
        if self._monotone:
            return [
                abs(weight) * (high - low)
                for weight, (low, high) in zip(self._weights, box, strict=True)
            ]
        return [(high - low) / width for (low, high), width in zip(box, self._widths, strict=True)]
