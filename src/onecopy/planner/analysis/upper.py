"""Upper bounds of the sizes of buffers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from onecopy.errors import InvalidBounds
from onecopy.planner.analysis.maximum import maximum

if TYPE_CHECKING:
    from onecopy.planner.analysis.buffer import SymbolicBuffer
    from onecopy.planner.analysis.dims import Dim
    from onecopy.planner.analysis.intervals import Box
    from onecopy.planner.analysis.sizes import Sizes


def box_of(dims: Mapping[str, Dim]) -> Box:
    """Return the bounds of the dimensions by their symbols."""
    return {
        dim.symbol: (dim.lower, math.inf if dim.upper is None else dim.upper)
        for dim in dims.values()
    }


def bounded(
    buffers: Iterable[SymbolicBuffer], dims: Mapping[str, Dim], relations: Sequence[Any]
) -> tuple[SymbolicBuffer, ...]:
    """Return the buffers with their upper bounds, where they have one.

    Raises:
        InvalidBounds: no value within the bounds satisfies the relations that the module states.

    """
    box = box_of(dims)
    known: dict[Any, int | None] = {}
    for buffer in (buffers := list(buffers)):
        if buffer.size not in known:
            known[buffer.size] = upper_bound(buffer.size, box, relations)
    return tuple(dataclasses.replace(each, upper=known[each.size]) for each in buffers)


def upper_bound(size: Any, box: Box, relations: Sequence[Any]) -> int | None:
    """Return the largest value of a size in the box where the relations hold; None: no bound."""
    concerned = [each for each in relations if each.free_symbols & size.free_symbols]
    largest = maximum(size, box, concerned)
    if largest == math.inf:
        return None
    if largest == -math.inf:
        shown = " and ".join(str(each) for each in concerned)
        raise InvalidBounds(
            f"the module states that {shown}, which no value within the bounds satisfies; widen "
            "the bounds"
        )
    return int(largest)


def relations_of(stated: Iterable[Any], sizes: Sizes) -> tuple[Any, ...]:
    """Return the relations between dimensions, such as n ≥ m, under which the export holds.

    torch also states such as n - m ≥ 1 merely because a size of 0 would be another case. A call
    may well have that size, so that only relations without a constant are kept: this makes upper
    bounds too large at worst.
    """
    found = []
    for statement in stated:
        if getattr(statement, "rel_op", "") in (">=", "<="):
            relation = sizes.translated(statement)
            if getattr(relation, "rel_op", "") in (">=", "<=") and _homogeneous(relation):
                found.append(relation)
    return tuple(dict.fromkeys(found))


def _homogeneous(relation: Any) -> bool:
    difference = relation.lhs - relation.rhs
    return len(relation.free_symbols) > 1 and not difference.as_coefficients_dict().get(1)
