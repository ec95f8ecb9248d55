"""A lower bound of a form that is linear from a given point on.

A form that is the largest of several polynomials, whose coefficients beyond the linear ones are
not negative, lies above its forward differences: f(x + k) >= f(x) + sum of k_i (f(x + e_i) - f(x)),
for whole k >= 0, since all higher differences in Newton's formula are not negative. Rounding up
is left out, and rounding down costs one: both make it lower only.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Any

from onecopy.planner.budget.form import Box, Point

_MOST = 128
"""Polynomials that are kept of a Max: leaving some out makes the bound lower only."""

Polynomial = dict[Point, Any]
"""Exponents of the parameters -> coefficient."""

Linear = tuple[Any, list[Any]]
"""A value at a point, and how much each parameter adds for each step away from it."""


class Relaxed:
    """The largest of several polynomials in the distances from a corner, `origin`."""

    def __init__(self, branches: Sequence[Polynomial], origin: Point) -> None:
        self._branches = _undominated(branches)
        self._origin = origin

    @classmethod
    def of(cls, expression: Any, symbols: Sequence[Any], box: Box) -> Relaxed | None:
        """Return a bound of the expression for the points of a box; None if it has none."""
        origin = tuple(low for low, _ in box)
        branches = _branches(expression, dict(zip(symbols, _shifts(box), strict=True)))
        if not branches or not all(map(_curves_up, branches)):
            return None
        return cls(branches, origin)

    def linear(self, *points: Point) -> Iterator[Linear]:
        """Give, from the first point on, the bounds of those branches that are largest at each."""
        start = self._from_origin(points[0])
        largest = {
            max(range(len(self._branches)), key=lambda n: _value(self._branches[n], place))
            for place in map(self._from_origin, points)
        }
        for number in largest:
            yield _tangent(self._branches[number], start)

    def _from_origin(self, point: Point) -> Point:
        return tuple(x - o for x, o in zip(point, self._origin, strict=True))


def _shifts(box: Box) -> Iterator[Polynomial]:
    """Give the polynomials `low_i + k_i`; where there is one value only, that."""
    zero = (0,) * len(box)
    for at, (low, high) in enumerate(box):
        step = {(*zero[:at], 1, *zero[at + 1 :]): 1} if high > low else {}
        yield {zero: low, **step}


def _branches(node: Any, shifted: dict[Any, Polynomial]) -> list[Polynomial] | None:
    if node.is_Symbol:
        return [shifted[node]]
    if node.is_Number:
        return [{(0,) * len(shifted): _exact(node)}]
    combine = _COMBINE.get(type(node).__name__)
    if combine is None:
        return None
    parts = [_branches(each, shifted) for each in node.args]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        return None
    result: list[Polynomial] | None = combine(node, found)
    return result


def _exact(node: Any) -> Any:
    exact = Fraction(int(node.p), int(node.q)) if node.is_Rational else Fraction(float(node))
    return int(exact) if exact.denominator == 1 else exact


def _sum(node: Any, parts: list[list[Polynomial]]) -> list[Polynomial]:  # noqa: ARG001
    total: list[Polynomial] = [{}]
    for part in parts:
        pairs = itertools.product(total, part)
        total = _undominated([_added(a, b) for a, b in itertools.islice(pairs, _MOST)])
    return total


def _product(node: Any, parts: list[list[Polynomial]]) -> list[Polynomial] | None:
    # What is a bound only, not exact, may not be multiplied by what may be negative.
    if not _is_exact(node) and not all(map(_positive, itertools.chain(*parts))):
        return None
    total, *others = parts
    for part in others:
        pairs = itertools.product(total, part)
        total = _undominated([_multiplied(a, b) for a, b in itertools.islice(pairs, _MOST)])
    return total


def _power(node: Any, parts: list[list[Polynomial]]) -> list[Polynomial] | None:
    if not node.exp.is_Integer or not 0 < node.exp < 9:
        return None
    return _product(node, [parts[0]] * int(node.exp))


def _maximum(node: Any, parts: list[list[Polynomial]]) -> list[Polynomial]:  # noqa: ARG001
    return _undominated(list(itertools.chain(*parts)))


def _floor(node: Any, parts: list[list[Polynomial]]) -> list[Polynomial]:  # noqa: ARG001
    return [_rounded_down(polynomial) for polynomial in parts[0]]


def _ceiling(node: Any, parts: list[list[Polynomial]]) -> list[Polynomial]:  # noqa: ARG001
    return parts[0]


_COMBINE: dict[str, Any] = {
    "Add": _sum,
    "Mul": _product,
    "Pow": _power,
    "Max": _maximum,
    "floor": _floor,
    "ceiling": _ceiling,
}


def _is_exact(node: Any) -> bool:
    return not any(type(part).__name__ in ("Max", "floor", "ceiling") for part in _parts(node))


def _parts(node: Any) -> Iterator[Any]:
    yield node
    for each in node.args:
        yield from _parts(each)


def _rounded_down(polynomial: Polynomial) -> Polynomial:
    """Take off the most that rounding down can: whole numbers over q lose at most (q-1)/q."""
    unit = math.lcm(*(Fraction(factor).denominator for factor in polynomial.values()))
    zero = (0,) * len(next(iter(polynomial)))
    return _added(polynomial, {zero: Fraction(1, unit) - 1})


def _added(a: Polynomial, b: Polynomial) -> Polynomial:
    total = dict(a)
    for powers, factor in b.items():
        total[powers] = total.get(powers, 0) + factor
    return total


def _multiplied(a: Polynomial, b: Polynomial) -> Polynomial:
    total: Polynomial = {}
    for (p, x), (q, y) in itertools.product(a.items(), b.items()):
        powers = tuple(map(sum, zip(p, q, strict=True)))
        total[powers] = total.get(powers, 0) + x * y
    return total


def _positive(polynomial: Polynomial) -> bool:
    return all(factor >= 0 for factor in polynomial.values())


def _curves_up(polynomial: Polynomial) -> bool:
    return all(factor >= 0 or sum(powers) < 2 for powers, factor in polynomial.items())


def _undominated(branches: Sequence[Polynomial]) -> list[Polynomial]:
    """Leave out polynomials that another one is nowhere below."""
    kept: list[Polynomial] = []
    for branch in branches:
        if not any(_above(other, branch) for other in kept):
            kept = [other for other in kept if not _above(branch, other)]
            kept.append(branch)
    return kept[:_MOST]


def _above(a: Polynomial, b: Polynomial) -> bool:
    return all(a.get(powers, 0) >= b.get(powers, 0) for powers in a.keys() | b.keys())


def _value(polynomial: Polynomial, point: Point) -> Any:
    total = 0
    for powers, factor in polynomial.items():
        for base, power in zip(point, powers, strict=True):
            if power:
                factor *= base**power
        total += factor
    return total


def _tangent(polynomial: Polynomial, point: Point) -> Linear:
    value = _value(polynomial, point)
    ahead = ((*point[:at], point[at] + 1, *point[at + 1 :]) for at in range(len(point)))
    return value, [_value(polynomial, each) - value for each in ahead]
