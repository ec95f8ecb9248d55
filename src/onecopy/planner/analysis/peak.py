"""The peak as one expression: the largest of what lives at any step, for all values of the dims.

A step that is never above another one is left out, so that the expression stays small and is
evaluated in about a microsecond.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onecopy.planner.analysis.intervals import exact
from onecopy.planner.analysis.maximum import maximum

if TYPE_CHECKING:
    from onecopy.planner.analysis.buffer import SymbolicBuffer
    from onecopy.planner.analysis.intervals import Box

Terms = dict[Any, int]
"""A sum: for each product of symbols, what it is multiplied with."""


def live_at_steps(buffers: Sequence[SymbolicBuffer], steps: int) -> list[Terms]:
    """Return, for every step that may be the peak, the sum of the buffers that live then."""
    changes: list[list[tuple[int, Mapping[Any, int]]]] = [[] for _ in range(steps + 1)]
    for buffer in buffers:
        terms = _terms(buffer.size)
        changes[buffer.start].append((1, terms))
        changes[buffer.end].append((-1, terms))
    live: Terms = {}
    seen: dict[frozenset[tuple[Any, int]], Terms] = {}
    for at in range(steps):
        for sign, terms in changes[at]:
            _accumulate(live, sign, terms)
        if any(sign > 0 for sign, _ in changes[at]):
            seen.setdefault(frozenset(live.items()), dict(live))
    return list(seen.values())


def peak_of(sums: Sequence[Terms], box: Box) -> Any:
    """Return the largest of several sums, as a sympy expression without what never is the largest.

    `box` has the bounds of the symbols, within which that holds.
    """
    import sympy

    kept = [_expression(terms) for terms in _undominated(list(sums), box)]
    if len(kept) <= 1:
        return kept[0] if kept else sympy.Integer(0)
    common = _common(kept)
    # Not simplified by sympy, which would compare every pair of sums for seconds.
    return common + sympy.Max(*(each - common for each in kept), evaluate=False)


def compiled(expression: Any, symbols: Sequence[Any]) -> Callable[..., Any]:
    """Return a function that evaluates an expression with ints, for these symbols in order."""
    import sympy

    return sympy.lambdify(list(symbols), expression, modules="math", cse=True)  # type: ignore[no-any-return]


def _terms(size: Any) -> Mapping[Any, int]:
    return {term: exact(factor) for term, factor in size.as_coefficients_dict().items()}


def _accumulate(live: Terms, sign: int, terms: Mapping[Any, int]) -> None:
    for term, factor in terms.items():
        total = live.get(term, 0) + sign * factor
        if total:
            live[term] = total
        else:
            live.pop(term, None)


def _expression(terms: Terms) -> Any:
    import sympy

    return sympy.Add(*(factor * term for term, factor in terms.items()))


def _common(sums: Sequence[Any]) -> Any:
    """Return what all sums have in common, term by term, so that it is computed once."""
    import sympy

    parts = [_terms(each) for each in sums]
    shared = set(parts[0]).intersection(*parts[1:])
    return sympy.Add(*(min(part[term] for part in parts) * term for term in shared))


def _undominated(sums: list[Terms], box: Box) -> list[Terms]:
    """Leave out sums that are nowhere in the box above another one that is kept."""
    heights = _heights(sums, list(box), list(_sample(box)))
    columns = range(len(heights[0]) if sums else 0)
    # Where several are equal (all are 0 in a corner), the one that is tall elsewhere counts.
    total = [sum(row) for row in heights]
    tallest = {
        max(range(len(sums)), key=lambda at: (heights[at][column], total[at])) for column in columns
    }
    kept = sorted(tallest) if sums else []
    order = sorted(set(range(len(sums))) - tallest, key=lambda at: -max(heights[at], default=0))
    for at in order:
        rivals = sorted(kept, key=lambda k: -total[k])
        if not any(_below(sums[at], heights[at], sums[k], heights[k], box) for k in rivals):
            kept.append(at)
    return [sums[at] for at in kept]


def _below(one: Terms, its: Sequence[int], other: Terms, theirs: Sequence[int], box: Box) -> bool:
    """Say whether one sum is proven to be nowhere above the other."""
    if any(a > b for a, b in zip(its, theirs, strict=True)):
        return False
    difference = dict(one)
    _accumulate(difference, -1, other)
    return maximum(_expression(difference), box, most_boxes=64) <= 0


def _sample(box: Box) -> Iterator[tuple[int, ...]]:
    """Yield corners of the box, and points in it: the same ones at every call."""
    chance = random.Random(0)
    spans = [(int(low), int(high)) for low, high in box.values()]
    yield from itertools.islice(itertools.product(*spans), 64)
    for _ in range(64 if spans else 0):
        yield tuple(chance.randint(*span) for span in spans)


def _heights(
    sums: Sequence[Terms], symbols: Sequence[Any], points: Sequence[tuple[int, ...]]
) -> list[list[Any]]:
    """Return the value of each sum at each point."""
    terms = list({term for each in sums for term in each})
    evaluate = compiled(terms, symbols)
    rows = [dict(zip(terms, evaluate(*point), strict=True)) for point in points]
    return [[sum(f * row[term] for term, f in each.items()) for row in rows] for each in sums]
