"""Random expressions as sizes are: sums of products, with floors and maxima in them."""

from __future__ import annotations

from typing import Any

import sympy
from hypothesis import strategies as st

from onecopy.planner.analysis.dims import symbol_of

N, M = symbol_of("n"), symbol_of("m")

BOX = {N: (0, 6), M: (1, 5)}


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    two = st.tuples(inner, inner)
    return st.one_of(
        two.map(lambda pair: pair[0] + pair[1]),
        two.map(lambda pair: pair[0] - pair[1]),
        two.map(lambda pair: pair[0] * pair[1]),
        two.map(lambda pair: sympy.Max(*pair)),
        two.map(lambda pair: sympy.Min(*pair)),
        inner.map(lambda one: sympy.floor(one / 2)),
        inner.map(lambda one: sympy.ceiling(one / 3)),
        inner.map(lambda one: one**2),
    )


def expressions() -> st.SearchStrategy[Any]:
    """Return a strategy for expressions in n and m."""
    leaves = st.one_of(st.sampled_from([N, M]), st.integers(-3, 8).map(sympy.Integer))
    return st.recursive(leaves, grown, max_leaves=6).map(sympy.expand)


def value(expression: Any, point: dict[Any, int]) -> int:
    """Return what an expression is at a point."""
    # sympy leaves Min(2, 3) within a Max as it is until it is told to do it.
    return int(expression.subs(point).doit())


def points() -> list[dict[Any, int]]:
    """Return all whole points of the box."""
    return [
        {N: n, M: m}
        for n in range(BOX[N][0], BOX[N][1] + 1)
        for m in range(BOX[M][0], BOX[M][1] + 1)
    ]
