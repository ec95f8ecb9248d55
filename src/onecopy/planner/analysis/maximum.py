"""The largest value of a size within the bounds of its dimensions.

Bounds alone are not enough where dimensions stand in a relation: n·m·max(n - m, 1) with n ≤ 20 and
m ≤ 5 is at most 1500, at n = 20 and m = 5, though each factor alone could be 20, 5 and 19. Found
by branch and bound over boxes of integers with interval arithmetic (R. E. Moore, Interval
Analysis, 1966); a dimension in which the size only grows, or only falls, is settled at once.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

from onecopy.planner.analysis.intervals import Box, interval, slope

Bounds = dict[Any, tuple[float, float]]


def maximum(
    expression: Any, box: Box, relations: Sequence[Any] = (), most_boxes: int = 4000
) -> float:
    """Return the largest value of an expression at the whole numbers of a box.

    `relations` (≥ or ≤, such as n ≥ m) leave out points of the box at which they do not hold. After
    `most_boxes` boxes the answer may be too large, but never too small. Infinite where the
    expression has no bound; minus infinity where the relations leave no point.
    """
    box = {symbol: box[symbol] for symbol in _symbols(expression, relations)}
    tied = frozenset(symbol for relation in relations for symbol in relation.free_symbols)
    best, tie = -math.inf, itertools.count()
    heap = [(-_upper(expression, box), next(tie), box)]
    for _ in range(most_boxes):
        if not heap or -heap[0][0] <= best:
            return best
        upper, _, box = heapq.heappop(heap)
        if -upper == math.inf:
            return math.inf
        box = _settled(expression, box, tied)
        best = max(best, _best_corner(expression, box, relations))
        for part in _halves(box):
            if _possible(part, relations):
                upper = _upper(expression, part)
                if upper > best:
                    heapq.heappush(heap, (-upper, next(tie), part))
    return max(best, -heap[0][0]) if heap else best


def _settled(expression: Any, box: Box, tied: frozenset[Any]) -> Bounds:
    """Return a part of the box that has the largest value; tied dimensions are left as they are."""
    small = dict(box)
    for symbol in box:
        if symbol not in tied:
            low, high = slope(expression, symbol, small)
            if low >= 0:
                small[symbol] = (small[symbol][1], small[symbol][1])
            elif high <= 0:
                small[symbol] = (small[symbol][0], small[symbol][0])
    return small


def _symbols(expression: Any, relations: Sequence[Any]) -> list[Any]:
    found = set(expression.free_symbols).union(*(each.free_symbols for each in relations))
    return sorted(found, key=str)


def _upper(expression: Any, box: Box) -> float:
    return interval(expression, box)[1]


def _best_corner(expression: Any, box: Box, relations: Sequence[Any]) -> float:
    best = -math.inf
    for corner in itertools.islice(_corners(box), 64):
        if all(_holds(relation, corner) for relation in relations):
            best = max(best, interval(expression, corner)[0])
    return best


def _corners(box: Box) -> Iterator[Bounds]:
    """Yield the corners, as boxes of one point, in which an interval is one value."""
    ends = [dict.fromkeys(span) for span in box.values()]
    for values in itertools.product(*ends):
        yield {symbol: (value, value) for symbol, value in zip(box, values, strict=True)}


def _holds(relation: Any, corner: Box) -> bool:
    difference = interval(relation.lhs - relation.rhs, corner)[0]
    return difference >= 0 if relation.rel_op == ">=" else difference <= 0


def _halves(box: Box) -> Iterator[Bounds]:
    """Cut the widest dimension in two; a box of one point has no halves."""
    if not box:
        return
    symbol = max(box, key=lambda each: box[each][1] - box[each][0])
    low, high = box[symbol]
    if low == high:
        return
    middle = (low + high) // 2
    yield {**box, symbol: (low, middle)}
    yield {**box, symbol: (middle + 1, high)}


def _possible(box: Box, relations: Sequence[Any]) -> bool:
    """Say whether the relations may hold somewhere in the box."""
    for relation in relations:
        low, high = interval(relation.lhs - relation.rhs, box)
        never = high < 0 if relation.rel_op == ">=" else low > 0
        if never:
            return False
    return True
