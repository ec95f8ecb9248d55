"""torch's symbolic integers as plain sympy expressions in the names of the dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onecopy.errors import UnsupportedValue
from onecopy.planner.analysis.dims import dimension
from onecopy.planner.analysis.relations import Names, finite


def expression_of(size: Any) -> Any:
    """Return what torch knows of a size: a sympy expression in torch's symbols, or an Integer."""
    import sympy

    node = getattr(size, "node", None)
    return sympy.Integer(int(size)) if node is None else node.expr


class Sizes:
    """Turns torch's sizes into expressions in the plan's dimensions, one torch symbol at a time.

    A size that only the data decides (how many elements are not zero) is replaced by what it
    cannot exceed. Where nothing is known, it becomes a dimension without an upper bound.
    """

    def __init__(self, names: Names, limits: Mapping[Any, Any], ranges: Mapping[Any, Any]) -> None:
        self._names = names
        self._limits = limits
        self._ranges = ranges
        self._known: dict[Any, Any] = {}

    def of(self, size: Any) -> Any:
        """Return a size, or a relation between sizes, as a sympy expression."""
        return self.translated(expression_of(size))

    def translated(self, expression: Any) -> Any:
        """Return an expression in torch's symbols as one in the plan's dimensions."""
        if expression not in self._known:
            for symbol in expression.free_symbols - set(self._names.replacements):
                self._names.replacements[symbol] = self._replacement(symbol)
            self._known[expression] = translated(expression, self._names.replacements)
        return self._known[expression]

    def _replacement(self, symbol: Any) -> Any:
        import sympy

        if symbol in self._limits:
            return self.translated(self._limits[symbol])
        span = self._ranges.get(symbol)
        upper = None if span is None else finite(span.upper)
        if upper is not None:
            return sympy.Integer(upper)
        dim = dimension(str(symbol), None, None)
        self._names.dims[dim.name] = dim
        return dim.symbol


def translated(expression: Any, replacements: Mapping[Any, Any]) -> Any:
    """Rewrite torch's own functions (FloorDiv, Mod, Max, …) and symbols as sympy's; expanded.

    Raises:
        UnsupportedValue: the expression has a function that is not known here.

    """
    import sympy

    result = _rewritten(sympy.sympify(expression), replacements)
    return result if result.is_Relational or result.is_Boolean else sympy.expand(result)


def _rewritten(node: Any, replacements: Mapping[Any, Any]) -> Any:
    if node in replacements:
        return replacements[node]
    if node.is_Number or node.is_Symbol:
        return _number(node)
    args = [_rewritten(arg, replacements) for arg in node.args]
    if node.is_Add or node.is_Mul or node.is_Pow:
        return node.func(*args)
    name = type(node).__name__
    known = _functions().get(name)
    if known is None:
        raise UnsupportedValue(
            f"a size in this module is computed with {name}, which the planner does not know; "
            "compute it with sums, products, //, %, min and max"
        )
    return known(*args)


def _number(node: Any) -> Any:
    import sympy

    return sympy.Integer(int(node)) if node.is_Number and node == int(node) else node


def _functions() -> Mapping[str, Any]:
    import sympy

    return {
        "FloorDiv": lambda a, b: sympy.floor(a / b),
        "CleanDiv": lambda a, b: sympy.floor(a / b),
        "IntTrueDiv": lambda a, b: a / b,
        "FloatTrueDiv": lambda a, b: a / b,
        "CeilDiv": lambda a, b: sympy.ceiling(a / b),
        "Mod": lambda a, b: a - b * sympy.floor(a / b),
        "PythonMod": lambda a, b: a - b * sympy.floor(a / b),
        "ModularIndexing": lambda a, b, c: (
            sympy.floor(a / b) - c * sympy.floor(sympy.floor(a / b) / c)
        ),
        "PowByNatural": lambda a, b: a**b,
        "Max": sympy.Max,
        "Min": sympy.Min,
        "FloorToInt": sympy.floor,
        "TruncToInt": sympy.floor,
        "CeilToInt": sympy.ceiling,
        "floor": sympy.floor,
        "ceiling": sympy.ceiling,
        "ToFloat": lambda a: a,
        "Identity": lambda a: a,
        "GreaterThan": sympy.Ge,
        "LessThan": sympy.Le,
        "StrictGreaterThan": sympy.Gt,
        "StrictLessThan": sympy.Lt,
    }
