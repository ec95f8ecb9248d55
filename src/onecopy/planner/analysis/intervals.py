"""Between which values an expression lies when each dimension lies between two values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Interval = tuple[float, float]
"""Lowest and highest value; exact integers, or infinity where there is no bound."""

Box = Mapping[Any, Interval]
"""For each symbol, its interval."""


def interval(expression: Any, box: Box) -> Interval:
    """Return an interval that has every value of the expression in the box; it may be wider."""
    if expression.is_Symbol:
        return box[expression]
    if expression.is_Number:
        return (exact(expression), exact(expression))
    parts = [interval(part, box) for part in expression.args]
    return _RULES[type(expression).__name__](parts)


def slope(expression: Any, symbol: Any, box: Box) -> Interval:
    """Return an interval that has every slope of the expression along one symbol, jumps included.

    If it has no negative number, the expression nowhere falls when the symbol grows.
    """
    if symbol not in expression.free_symbols:
        return (0, 0)
    if expression.is_Symbol:
        return (1, 1)
    slopes = [slope(part, symbol, box) for part in expression.args]
    if expression.is_Add:
        return _add(slopes)
    if expression.is_Mul:
        return _product_rule(expression.args, slopes, box)
    if expression.is_Pow and expression.exp.is_Integer and expression.exp > 0:
        factor = interval(expression.exp * expression.base ** (expression.exp - 1), box)
        return _multiply([factor, slopes[0]])
    low, high = min(low for low, _ in slopes), max(high for _, high in slopes)
    if type(expression).__name__ in ("Max", "Min"):
        return low, high
    if expression.is_Pow:
        return -math.inf, math.inf
    return (0 if low >= 0 else -math.inf), (0 if high <= 0 else math.inf)


def _product_rule(factors: Sequence[Any], slopes: Sequence[Interval], box: Box) -> Interval:
    spans = [interval(factor, box) for factor in factors]
    terms = [
        _multiply([own, *spans[:at], *spans[at + 1 :]])
        for at, own in enumerate(slopes)
        if own != (0, 0)
    ]
    return _add(terms)


def exact(number: Any) -> Any:
    """Return a sympy number as an int where it is one, and as a Fraction where it is not."""
    from fractions import Fraction

    if number.is_Integer:
        return int(number)
    return Fraction(int(number.p), int(number.q)) if number.is_Rational else float(number)


def _add(parts: Sequence[Interval]) -> Interval:
    return sum(low for low, _ in parts), sum(high for _, high in parts)


def _multiply(parts: Sequence[Interval]) -> Interval:
    low, high = parts[0]
    for other_low, other_high in parts[1:]:
        products = [_product(a, b) for a in (low, high) for b in (other_low, other_high)]
        low, high = min(products), max(products)
    return low, high


def _product(a: float, b: float) -> float:
    return 0 if a == 0 or b == 0 else a * b


def _power(parts: Sequence[Interval]) -> Interval:
    (low, high), (exponent, _) = parts
    if exponent < 0:
        inverse = (_inverse(high), _inverse(low)) if low > 0 else (-math.inf, math.inf)
        return _power([inverse, (-exponent, -exponent)])
    if low >= 0 or exponent % 2:
        return low**exponent, high**exponent
    ends = (low**exponent, high**exponent)
    return (0 if high >= 0 else min(ends)), max(ends)


def _inverse(value: float) -> Any:
    from fractions import Fraction

    return 0 if value == math.inf else 1 / Fraction(value)


def _floor(parts: Sequence[Interval]) -> Interval:
    return _whole(math.floor, parts[0])


def _ceiling(parts: Sequence[Interval]) -> Interval:
    return _whole(math.ceil, parts[0])


def _whole(rounding: Callable[[Any], int], part: Interval) -> Interval:
    low, high = (end if abs(end) == math.inf else rounding(end) for end in part)
    return low, high


def _maximum(parts: Sequence[Interval]) -> Interval:
    return max(low for low, _ in parts), max(high for _, high in parts)


def _minimum(parts: Sequence[Interval]) -> Interval:
    return min(low for low, _ in parts), min(high for _, high in parts)


_RULES: dict[str, Callable[[Sequence[Interval]], Interval]] = {
    "Add": _add,
    "Mul": _multiply,
    "Pow": _power,
    "floor": _floor,
    "ceiling": _ceiling,
    "Max": _maximum,
    "Min": _minimum,
}
