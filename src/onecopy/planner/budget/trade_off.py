"""The trade-off between two parameters: the best of one for each value of another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.planner.analysis.dims import check_names, names_in
from onecopy.planner.budget.domain import Domain, Wish
from onecopy.planner.budget.fitting import Aim, Fit, fit
from onecopy.units import format_size, parse_size

_MOST_ROWS = 12


@dataclass(frozen=True)
class TradeOff:
    """Rows of a table: for each value of `by` the best fit, None where nothing fits."""

    by: str
    budget: int
    rows: dict[int, Fit | None]

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can carry."""
        rows = [
            {self.by: value, "fit": None if found is None else found.as_dict()}
            for value, found in self.rows.items()
        ]
        return {"by": self.by, "budget": self.budget, "rows": rows}

    def columns(self) -> list[str]:
        """Return the headings of `cells`."""
        fits = [found for found in self.rows.values() if found]
        names = [name for name in (fits[0].values if fits else ()) if name != self.by]
        return [self.by, *names, "bytes"]

    def cells(self) -> Iterator[list[str]]:
        """Give the texts of each row."""
        _, *names, _ = self.columns()
        for value, found in self.rows.items():
            if found is None:
                yield [f"{value:,}", *("-" for _ in names), "does not fit"]
            else:
                rest = (f"{found.values[name]:,}" for name in names)
                yield [f"{value:,}", *rest, format_size(found.nbytes)]

    def __str__(self) -> str:
        lines = [self.columns(), *self.cells()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        )


def table(
    plan: Any,
    budget: int | str,
    maximize: Aim,
    by: str,
    subject_to: Mapping[str, Wish] | None = None,
    *,
    at: Sequence[int] | None = None,
    **options: Any,
) -> TradeOff:
    """Return the best values under a budget for several values of one dimension.

        print(plan.table("6GiB", maximize=["s"], by="c", subject_to={"b": 1}))

    `at` are those values; by default the bounds of `by` and powers of two between them. The other
    arguments are those of `fit`.

    Raises:
        UnboundedDimension: nothing keeps a dimension from growing without end.
        BudgetExceeded: nothing fits in any row.
    """
    check_names(plan.dims, names_in(by, "`by`"), "`by`")
    subject_to = dict(subject_to or {})
    if at is None:
        domain = Domain.of({by: plan.dims[by]}, {k: v for k, v in subject_to.items() if k == by})
        at = _powers(*domain.box[0])
    rows: dict[int, Fit | None] = {}
    refusal: BudgetExceeded | None = None
    for value in at:
        try:
            rows[value] = fit(plan, budget, maximize, {**subject_to, by: value}, **options)
        except BudgetExceeded as error:
            rows[value], refusal = None, refusal or error
    if refusal is not None and not any(rows.values()):
        raise refusal
    if not rows:
        raise InvalidArgument(f"name at least one value of {by} in `at`")
    return TradeOff(by, parse_size(budget), rows)


def _powers(lowest: int, highest: float) -> list[int]:
    """Return the ends, and powers of two in between; from a few only up, where there is no end."""
    first = lowest.bit_length()
    last = first + _MOST_ROWS if highest == math.inf else int(highest).bit_length()
    powers = [1 << n for n in range(first, last) if lowest < 1 << n < highest]
    return [lowest, *powers, *([int(highest)] if lowest < highest < math.inf else [])]
