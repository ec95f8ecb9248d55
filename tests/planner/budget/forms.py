"""Stand-ins for plans: a formula and bounds are all that a budget needs of one."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import sympy
from hypothesis import strategies as st

s, b, c = (sympy.Symbol(name, integer=True, nonnegative=True) for name in "sbc")

WEIGHTS = 2_471_628_800
LLAMA = (
    WEIGHTS
    + 32768 * b * s
    + 8 * b * c
    + 8 * c
    + 256512 * b
    + sympy.Max(53248 * b * c + c * s + 512 * c, 20000 * b * s)
)


def planned(expression: Any, weights_nbytes: int = 0, relations: Any = (), **bounds: Any) -> Any:
    """A plan with this formula; bounds are (lower, upper) by name."""
    dims = {
        name: SimpleNamespace(name=name, lower=lower, upper=upper)
        for name, (lower, upper) in bounds.items()
    }
    return SimpleNamespace(
        bytes=sympy.sympify(expression),
        dims=dims,
        weights_nbytes=weights_nbytes,
        relations=relations,
    )


def points(box: Any) -> Any:
    """All points of a box of (lower, upper)."""
    return itertools.product(*(range(low, high + 1) for low, high in box))


def function_of(expression: Any, names: Any) -> Any:
    """The expression as sympy computes it at a point; exact where divisors are powers of 2."""
    by_name = {symbol.name: symbol for symbol in expression.free_symbols}
    symbols = [by_name.get(name, sympy.Symbol(name)) for name in names]
    function = sympy.lambdify(symbols, expression, modules="math")
    return lambda point: function(*point)


def _largest(*parts: Any) -> Any:
    # Not evaluated: sympy would compare the parts with each other, which takes seconds.
    return sympy.Max(*parts, evaluate=False)


def _terms(factors: Any) -> Any:
    powers = st.tuples(*[st.integers(0, 2)] * 3)
    return st.builds(lambda factor, p: factor * s ** p[0] * b ** p[1] * c ** p[2], factors, powers)


def _sums(factors: Any) -> Any:
    return st.lists(_terms(factors), min_size=1, max_size=4).map(sum)


def _combined(sums: Any, rounded: Any) -> Any:
    return st.one_of(
        sums,
        st.builds(lambda x, y, z: x + _largest(y, z), sums, sums, sums),
        st.builds(lambda x, y, z: x + 3 * _largest(y, z) + _largest(x, z), sums, sums, sums),
        st.builds(lambda x, y: 64 * sympy.ceiling(x / 64) + y, rounded, sums),
        st.builds(lambda x, y: x + 16 * sympy.floor((y + 15) / 16) * c, sums, rounded),
    )


growing = _combined(_sums(st.integers(1, 30)), _sums(st.integers(1, 30)))
"""Forms that grow with every parameter."""

anything = st.one_of(
    _combined(_sums(st.integers(-30, 30)), _sums(st.integers(-30, 30))),
    st.builds(
        lambda x, y: x - 8 * sympy.floor(x / 8) + sympy.Min(x, y, evaluate=False),
        _sums(st.integers(-9, 30)),
        _sums(st.integers(-9, 30)),
    ),
)
"""Forms that may grow and fall with any of them."""

boxes = st.tuples(*[st.tuples(st.integers(0, 4), st.integers(0, 6))] * 3).map(
    lambda spans: tuple((low, low + width) for low, width in spans)
)
