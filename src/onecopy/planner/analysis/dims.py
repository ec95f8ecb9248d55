"""A dimension that varies from call to call, and what may be said of its values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from onecopy.errors import InvalidArgument, InvalidBounds, UnboundedDimension
from onecopy.planner.numbers import whole

# Parameters of methods that take dimensions by keyword.
_TAKEN = frozenset({"self", "outputs", "alignment"})


@dataclass(frozen=True)
class Dim:
    """A named dimension: `lower <= value <= upper`; without an upper bound, `upper` is None.

    `symbol` stands for it in the sizes of a plan: an integer sympy symbol of the same name.
    """

    name: str
    lower: int
    upper: int | None
    symbol: Any

    def __str__(self) -> str:
        upper = "" if self.upper is None else f" ≤ {self.upper}"
        return f"{self.lower} ≤ {self.name}{upper}"

    def checked(self, value: int) -> int:
        """Return the value, which must lie within the bounds.

        Raises:
            InvalidBounds: it does not.
            InvalidArgument: it is no whole number.

        """
        value = whole(value, self.name)
        if value < self.lower or (self.upper is not None and value > self.upper):
            shown = "∞" if self.upper is None else self.upper
            raise InvalidBounds(
                f"{self.name} = {value} is outside its bounds [{self.lower}, {shown}]; choose a "
                "value within them, or plan again with wider ones"
            )
        return value


def symbol_of(name: str) -> Any:
    """Return the symbol that stands for the dimension of this name in every expression."""
    import sympy

    return sympy.Symbol(name, integer=True, nonnegative=True)


def dimension(name: str, lower: int | None, upper: int | None) -> Dim:
    """Return a dimension, whose bounds have been checked.

    Raises:
        InvalidBounds: a bound is negative, or the lower one is above the upper one.
        InvalidArgument: the name is that of another parameter of a plan's methods.

    """
    if name in _TAKEN:
        raise InvalidArgument(f"no dimension can be named {name!r}; methods of Plan take that")
    lower = 0 if lower is None else lower
    if lower < 0 or (upper is not None and upper < 0):
        raise InvalidBounds(
            f"the bounds of dimension {name!r} are [{lower}, {upper}], but a size is never "
            "negative; raise `min`"
        )
    if upper is not None and lower > upper:
        raise InvalidBounds(
            f"dimension {name!r} has a lower bound of {lower} and an upper one of {upper}; "
            "raise `max`, or lower `min`"
        )
    return Dim(name, lower, upper, symbol_of(name))


def names_in(names: str | Iterable[str], what: str) -> tuple[str, ...]:
    """Return names as a tuple; one by itself is no sequence of letters.

    Raises:
        InvalidArgument: it is neither a name nor a sequence of names.

    """
    if isinstance(names, str):
        return (names,)
    found = tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(name, str) for name in found):
        raise InvalidArgument(f"{what} is a name or a list of names, not {names!r}")
    return found


def check_names(dims: Mapping[str, Dim], names: Iterable[str], what: str) -> None:
    """Refuse names that are no dimensions of this plan."""
    unknown = [name for name in dict.fromkeys(names) if name not in dims]
    if unknown:
        raise InvalidArgument(
            f"{what} names {', '.join(map(str, unknown))}, but the dimensions are: "
            f"{', '.join(sorted(dims)) or 'none'}"
        )


def refuse_unbounded(dims: Mapping[str, Dim], dynamic: Iterable[str]) -> None:
    """Refuse dimensions that have no upper bound and that nobody asked to keep dynamic."""
    without = sorted(name for name, dim in dims.items() if dim.upper is None)
    refused = [name for name in without if name not in set(dynamic)]
    if refused:
        names = ", ".join(repr(name) for name in refused)
        raise UnboundedDimension(
            f"no upper bound for {names}: give one, torch.export.Dim({refused[0]!r}, max=…), or "
            f"keep it out of the plan with dynamic=({refused[0]!r},); an example's size is not "
            "taken for a bound"
        )
