"""Expressions as trees of lists that JSON can carry: `["+", ["*", 4, "n"], 8]`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMES = {"Add": "+", "Mul": "*", "Pow": "**", "floor": "floor", "ceiling": "ceiling"}
_NAMES |= {"Max": "max", "Min": "min"}

# Deeper ones are no sizes that anybody computes, but would exhaust the stack.
_DEEPEST = 100

_LARGEST_EXPONENT = 16


def formula(expression: Any) -> Any:
    """Return a sympy expression as ints, names and lists `[operator, …]`."""
    if expression.is_Integer:
        return int(expression)
    if expression.is_Symbol:
        return expression.name
    if expression.is_Rational:
        return ["/", int(expression.p), int(expression.q)]
    return [_NAMES[type(expression).__name__], *(formula(arg) for arg in expression.args)]


def parsed(tree: Any, symbols: Mapping[str, Any], depth: int = 0) -> Any:
    """Return the expression of which this is the formula; nothing in it is executed.

    Raises:
        ValueError: it is not the formula of a size.

    """
    import sympy

    if isinstance(tree, int) and not isinstance(tree, bool):
        return sympy.Integer(tree)
    if isinstance(tree, str):
        if tree not in symbols:
            raise ValueError(f"an expression has the unknown dimension {tree!r}")
        return symbols[tree]
    if not isinstance(tree, list) or len(tree) < 2 or depth > _DEEPEST:
        raise ValueError(f"{str(tree)[:80]} is no expression")
    args = [parsed(arg, symbols, depth + 1) for arg in tree[1:]]
    return _applied(str(tree[0]), args)


def _applied(operator: str, args: list[Any]) -> Any:
    import sympy

    many = {"+": sympy.Add, "*": sympy.Mul, "max": sympy.Max, "min": sympy.Min}
    if operator in many:
        return many[operator](*args)
    if operator in ("floor", "ceiling") and len(args) == 1:
        return getattr(sympy, operator)(args[0])
    if not all(arg.is_Integer for arg in args[1:]):
        raise ValueError(f"an expression has {operator!r} with what is no number")
    if operator == "/" and len(args) == 2 and args[1] != 0:
        return sympy.Rational(args[0], args[1])
    if operator == "**" and len(args) == 2 and abs(args[1]) <= _LARGEST_EXPONENT:
        return args[0] ** args[1]
    raise ValueError(f"an expression has the unknown or misused operator {operator!r}")
