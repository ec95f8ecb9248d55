"""Bytes as a function of whole numbers: exact, fast, and with what is known of its slopes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from onecopy.errors import InvalidArgument, UnsupportedValue
from onecopy.planner.analysis.intervals import interval, slope

Point = tuple[int, ...]
Box = tuple[tuple[int, float], ...]
"""For each parameter the lowest and highest value; infinity where there is no highest."""


class Form:
    """A sympy expression in named whole numbers, as a Python function.

    form = Form(plan.bytes, ("s", "b"))
    form((128, 1))                           bytes, an int (a Fraction where it is no whole number)

    `relations` are sympy's >= and <= that must hold: a point at which they do not is not allowed.
    """

    def __init__(
        self, expression: Any, names: Sequence[str], relations: Sequence[Any] = ()
    ) -> None:
        import sympy

        self.expression = sympy.sympify(expression)
        self.names = tuple(names)
        self._gaps = [_gap(each) for each in relations]
        found = {
            symbol.name: symbol
            for each in (self.expression, *self._gaps)
            for symbol in each.free_symbols
        }
        if unknown := sorted(set(found) - set(names)):
            raise InvalidArgument(
                f"the bytes depend on {', '.join(unknown)}, which is no dimension of the plan"
            )
        self.symbols = tuple(found.get(name, sympy.Symbol(name)) for name in names)
        self._function = _compiled(self.expression, self.symbols)
        self._gap_functions = [_compiled(gap, self.symbols) for gap in self._gaps]

    def __call__(self, point: Sequence[int]) -> Any:
        """Return the exact value at a point."""
        return self._function(*point)

    def allows(self, point: Sequence[int]) -> bool:
        """Say whether the relations hold at a point."""
        return all(gap(*point) >= 0 for gap in self._gap_functions)

    def may_allow(self, box: Box) -> bool:
        """Say whether the relations may hold somewhere in a box."""
        spans = dict(zip(self.symbols, box, strict=True))
        return all(interval(gap, spans)[1] >= 0 for gap in self._gaps)

    def directions(self, box: Box) -> tuple[int | None, ...]:
        """Say for each parameter whether bytes grow with it (1), fall (-1), neither (0), or both.

        None stands for both, for what interval arithmetic cannot tell, and for parameters that
        cannot be chosen by themselves, because of a relation.
        """
        tied = {symbol for gap in self._gaps for symbol in gap.free_symbols}
        return tuple(
            None if symbol in tied else direction
            for symbol, direction in zip(self.symbols, self.slopes(box), strict=True)
        )

    def slopes(self, box: Box) -> tuple[int | None, ...]:
        """Return the directions as if there were no relations."""
        return tuple(self._direction(symbol, box) for symbol in self.symbols)

    def lowest(self, box: Box) -> Any:
        """Return a value that the form is nowhere below in a box; it may be too low."""
        return interval(self.expression, dict(zip(self.symbols, box, strict=True)))[0]

    def _direction(self, symbol: Any, box: Box) -> int | None:
        if symbol not in self.expression.free_symbols:
            return 0
        low, high = slope(self.expression, symbol, dict(zip(self.symbols, box, strict=True)))
        if low >= 0:
            return 1
        return -1 if high <= 0 else None


def _gap(relation: Any) -> Any:
    """Return what is not negative where the relation holds."""
    difference = relation.lhs - relation.rhs
    return difference if relation.rel_op == ">=" else -difference


def _compiled(expression: Any, symbols: Sequence[Any]) -> Callable[..., Any]:
    # Parameters have names of ours: a dimension may be called anything, `lambda` too.
    names = {symbol: f"x{number}" for number, symbol in enumerate(symbols)}
    source = f"lambda {', '.join(names.values())}: {_source(expression, names)}"
    scope = {"Fraction": Fraction, "floor": math.floor, "ceil": math.ceil, "max": max, "min": min}
    return eval(source, {"__builtins__": {}, **scope})  # type: ignore[no-any-return]


def _source(node: Any, names: dict[Any, str]) -> str:
    if node.is_Symbol:
        return names[node]
    if node.is_Number:
        return _number(node)
    if node.is_Pow:
        return _power(node, names)
    writer = _WRITERS.get(type(node).__name__)
    if writer is None:
        raise UnsupportedValue(
            f"the bytes have a {type(node).__name__}, which a budget cannot be searched with; "
            "use + - * / ** floor ceiling Max Min"
        )
    return writer.format(args=_joined(type(node).__name__, node.args, names))


def _joined(kind: str, args: Sequence[Any], names: dict[Any, str]) -> str:
    sign = {"Add": " + ", "Mul": " * "}.get(kind, ", ")
    return sign.join(_source(each, names) for each in args)


def _number(node: Any) -> str:
    if node.is_Integer:
        return f"({int(node)})"
    if not node.is_finite:
        raise InvalidArgument(f"the bytes of a plan are finite; this form has {node}")
    exact = Fraction(int(node.p), int(node.q)) if node.is_Rational else Fraction(float(node))
    return f"Fraction({exact.numerator}, {exact.denominator})"


def _power(node: Any, names: dict[Any, str]) -> str:
    base, exponent = node.args
    if not exponent.is_Integer:
        raise UnsupportedValue(f"the bytes have {node}: only whole powers can be searched with")
    power = f"({_source(base, names)}) ** {abs(int(exponent))}"
    return f"({power})" if exponent > 0 else f"(Fraction(1) / ({power}))"


_WRITERS = {
    "Add": "({args})",
    "Mul": "({args})",
    "Max": "max({args})",
    "Min": "min({args})",
    "floor": "floor({args})",
    "ceiling": "ceil({args})",
}
