"""torch's symbols (`s77`) in the names that the caller gave, and what is known of their sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from onecopy.errors import ExportFailed, InvalidBounds
from onecopy.planner.analysis.dims import Dim, dimension
from onecopy.planner.analysis.leaves import Leaf

# torch bounds a count that it knows nothing of by about the largest int64.
_BOUNDLESS = 2**62


@dataclass
class Names:
    """What torch's symbols are called: `replacements` maps each to an expression in our dims."""

    dims: dict[str, Dim] = field(default_factory=dict)
    replacements: dict[Any, Any] = field(default_factory=dict)


def declared(leaves: Sequence[Leaf]) -> dict[str, Dim]:
    """Return the dimensions that `dynamic_shapes` names, roots of derived ones included.

    Raises:
        InvalidBounds: bounds that are crossed or negative, one name with two pairs of bounds, or
            an example outside its bounds, or of two sizes where the dimension is one.

    """
    dims: dict[str, Dim] = {}
    sizes: dict[str, tuple[str, int]] = {}
    for leaf in leaves:
        for axis, dim in leaf.varying.items():
            if not is_hint(dim):
                root = getattr(dim, "root", dim)
                found = dimension(root.__name__, finite(root.min), finite(root.max))
                if dims.setdefault(found.name, found) != found:
                    raise InvalidBounds(
                        f"dimension {found.name!r} is given twice, with different bounds: "
                        f"{_shown(dims[found.name])} and {_shown(found)}; use one torch.export.Dim"
                    )
                _check_example(leaf, axis, dim)
                if root is dim:
                    _check_same(sizes, leaf, axis, found.name)
    return dims


def names_of(
    leaves: Sequence[Leaf],
    dims: Mapping[str, Dim],
    shapes: Sequence[Any],
    ranges: Mapping[Any, Any],
) -> Names:
    """Find the name of each of torch's symbols by looking at the shapes of the inputs.

    `shapes` has, for each leaf, the shape that the export gave it (or the number).
    """
    names = Names(dict(dims))
    for leaf, shape in zip(leaves, shapes, strict=True):
        for axis, dim in leaf.varying.items():
            size = shape if axis is None else shape[axis]
            node = getattr(size, "node", None)
            if node is None:
                continue
            if is_hint(dim):
                _name_hinted(names, leaf.axis_name(axis), node.expr, ranges)
            else:
                _name(names, dim, node.expr)
    return names


def is_hint(dim: Any) -> bool:
    """Say whether it is Dim.AUTO or Dim.DYNAMIC, which have no name."""
    return not hasattr(dim, "__name__")


def finite(bound: Any) -> int | None:
    """Return torch's bound as an int, or None for its infinity."""
    if not isinstance(bound, int) and not getattr(bound, "is_Integer", False):
        return None
    return int(bound) if bound < _BOUNDLESS else None


def _name(names: Names, dim: Any, expression: Any) -> None:
    root = getattr(dim, "root", None)
    symbol = names.dims[(root or dim).__name__].symbol
    expected = symbol if root is None else dim.fn(symbol)
    free = list(expression.free_symbols)
    if len(free) != 1:
        return
    own = free[0]
    for candidate in (symbol, expected):
        if expression.subs(own, candidate) == expected:
            names.replacements.setdefault(own, candidate)
            return
    raise ExportFailed(
        f"torch.export turned dimension {dim.__name__} into {expression}, whose relation to it is "
        "not known; use the dimension itself, without arithmetic"
    )


def _name_hinted(names: Names, name: str, expression: Any, ranges: Mapping[Any, Any]) -> None:
    for symbol in expression.free_symbols:
        if symbol not in names.replacements:
            span = ranges.get(symbol)
            lower, upper = (0, None) if span is None else (finite(span.lower), finite(span.upper))
            dim = dimension(name, lower, upper)
            names.dims[name] = dim
            names.replacements[symbol] = dim.symbol


def _check_same(sizes: dict[str, tuple[str, int]], leaf: Leaf, axis: int | None, name: str) -> None:
    size = leaf.value if axis is None else leaf.value.shape[axis]
    where, other = sizes.setdefault(name, (leaf.path, size))
    if size != other:
        raise InvalidBounds(
            f"{name} is {other} in the example for {where}, but {size} in that for {leaf.path}; "
            "give examples of one size, or use two torch.export.Dim"
        )


def _check_example(leaf: Leaf, axis: int | None, dim: Any) -> None:
    size = leaf.value if axis is None else leaf.value.shape[axis]
    upper = finite(dim.max)
    if upper is not None and size > upper:
        raise InvalidBounds(
            f"the example for {leaf.path} has a size of {size} where {dim.__name__} is at most "
            f"{upper}; give a smaller example, or raise `max`"
        )
    if size < dim.min:
        raise InvalidBounds(
            f"the example for {leaf.path} has a size of {size} where {dim.__name__} is at least "
            f"{dim.min}; give a larger example, or lower `min`"
        )


def _shown(dim: Dim) -> str:
    return f"[{dim.lower}, {'∞' if dim.upper is None else dim.upper}]"
