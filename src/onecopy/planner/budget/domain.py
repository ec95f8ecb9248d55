"""Between which values each parameter may be: the plan's bounds, and what the caller asks for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onecopy.errors import InvalidArgument, InvalidBounds
from onecopy.planner.analysis.dims import check_names
from onecopy.planner.budget.form import Box
from onecopy.planner.numbers import whole

Wish = int | tuple[int | None, int | None]
"""A value, or a lower and an upper bound; None where there is none."""


@dataclass(frozen=True)
class Domain:
    """The names of the parameters, and for each its lowest and highest value."""

    names: tuple[str, ...]
    box: Box

    @classmethod
    def of(cls, dims: Mapping[str, Any], subject_to: Mapping[str, Wish]) -> Domain:
        """Return a plan's dimensions within what `subject_to` allows.

        Raises:
            InvalidArgument: a name that is no dimension, or a wish that is no bound.
            InvalidBounds: bounds that contradict each other.
        """
        check_names(dims, subject_to, "`subject_to`")
        names = tuple(dims)
        return cls(names, tuple(_span(dims[name], subject_to.get(name)) for name in names))

    def values(self, point: Iterable[int]) -> dict[str, int]:
        """Return a point with the names of its parameters."""
        return dict(zip(self.names, point, strict=True))

    def span(self, name: str) -> tuple[int, float]:
        """Return the lowest and highest value of a parameter."""
        return self.box[self.names.index(name)]


def _span(dim: Any, wish: Wish | None) -> tuple[int, float]:
    lower, upper = _bounds(dim.name, wish)
    if lower is not None and upper is not None and lower > upper:
        raise InvalidBounds(
            f"{dim.name} cannot be at least {lower} and at most {upper}; give the lower bound first"
        )
    lowest = max(dim.lower, dim.lower if lower is None else lower)
    highest = min(_or_infinite(dim.upper), _or_infinite(upper))
    if lowest > highest:
        raise InvalidBounds(
            f"{dim.name} cannot be {_shown(lower, upper)}: the plan has it "
            f"{_shown(dim.lower, dim.upper)}; ask for values within that, or make a plan with "
            "other bounds"
        )
    return lowest, highest


def _bounds(name: str, wish: Wish | None) -> tuple[int | None, int | None]:
    if wish is None:
        return None, None
    try:
        lower, upper = wish if isinstance(wish, (tuple, list)) else (wish, wish)
        return _bound(lower), _bound(upper)
    except (InvalidArgument, ValueError):
        raise InvalidArgument(
            f"{name} is subject to a whole number or (lower, upper), not {wish!r}"
        ) from None


def _bound(value: int | None) -> int | None:
    return None if value is None else whole(value, "a bound")


def _or_infinite(bound: int | None) -> float:
    return math.inf if bound is None else bound


def _shown(lower: int | None, upper: int | None) -> str:
    if lower == upper:
        return str(lower)
    return f"{'any' if lower is None else lower} to {'any' if upper is None else upper}"
