"""The best parameters under a budget of bytes."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Real
from typing import TYPE_CHECKING, Any

from onecopy.errors import BudgetExceeded, InvalidArgument, InvalidBounds, UnboundedDimension
from onecopy.planner.analysis.dims import check_names, names_in
from onecopy.planner.budget.boxes import capped, least
from onecopy.planner.budget.domain import Domain, Wish
from onecopy.planner.budget.form import Box, Form, Point
from onecopy.planner.budget.search import Found, Search
from onecopy.planner.numbers import whole
from onecopy.units import format_size, parse_duration, parse_size

if TYPE_CHECKING:
    from onecopy.planner.budget.certificate import Certificate

Aim = str | Sequence[str] | Mapping[str, float]


@dataclass(frozen=True)
class Fit:
    """The best values, and the bytes that the formula gives for them.

    `exhaustive` says that no others are better; it is False only if `time_limit` was reached.
    `along` are the dimensions that were made large, the first one first; of weighted ones only that
    with the largest weight. Those in `at_bound` are as large as the plan, or `subject_to`, allows:
    they may be what limits, and not the budget.
    """

    values: dict[str, int]
    nbytes: int
    budget: int
    exhaustive: bool
    along: tuple[str, ...]
    at_bound: tuple[str, ...] = ()
    processes: int = 1
    subject_to: Mapping[str, Wish] = field(default_factory=dict, repr=False, compare=False)
    plan: Any = field(default=None, repr=False, compare=False)

    def certify(self, **options: Any) -> Certificate:
        """Run it, and find the largest values of `along` that fit when they are measured.

            plan.fit("64MiB", maximize=["batch", "length"]).certify(step=16).values

        Options are those of `planner.certify`; without, they are as they were for `fit`.
        """
        from onecopy.planner.budget.certificate import certify

        own = {
            "along": self.along,
            "subject_to": self.subject_to,
            "processes": self.processes,
        }
        return certify(self.plan, self.values, self.budget, **{**own, **options})

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can carry."""
        return {
            "values": self.values,
            "nbytes": self.nbytes,
            "budget": self.budget,
            "processes": self.processes,
            "exhaustive": self.exhaustive,
            "at_bound": list(self.at_bound),
        }

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {value:,}" for name, value in self.values.items())
        values += f" ({' and '.join(self.at_bound)} at the bound)" if self.at_bound else ""
        return f"{values}: {format_size(self.nbytes)} of {format_size(self.budget)}"


def fit(
    plan: Any,
    budget: int | str,
    maximize: Aim,
    subject_to: Mapping[str, Wish] | None = None,
    *,
    processes: int = 1,
    time_limit: float | str | None = 10.0,
) -> Fit:
    """Return the best values of a plan's dimensions whose bytes fit into a budget.

        plan.fit("6GiB", maximize=["s"], subject_to={"c": (512, None), "b": 1})
        plan.fit("6GiB", maximize={"s": 1.0, "b": 100.0})

    Args:
        plan: anything with `.bytes`, a sympy expression in `.dims`, a dict of names to bounds.
        budget: bytes, or a size such as "6GiB".
        maximize: one name, or several of which an earlier one counts before all later ones; or
            weights, whose sum with the values is made large. All others take what needs least.
        subject_to: for some names a value, or (lower, upper) with None where there is no bound.
        processes: the budget is for so many on this host, whose weights are in a store and so
            count once.
        time_limit: seconds, after which the best so far is returned; None for no limit.

    Raises:
        BudgetExceeded: not even the least values fit.
        InvalidBounds: `subject_to` contradicts the plan's bounds.
        UnboundedDimension: nothing keeps a dimension from growing without end; or what depends on
            it is outside of the plan.
        InvalidArgument: a name that is no dimension, or a number that is none.
    """
    room, deadline = parse_size(budget), _deadline(time_limit)
    domain, wishes = Domain.of(plan.dims, subject_to or {}), set(subject_to or ())
    aims = _aims(maximize, plan.dims)
    _check_counted(plan, wishes | {name for aim in aims for name in aim})
    form = Form(_expression(plan, processes), domain.names, getattr(plan, "relations", ()))
    box = capped(form, domain.box, room, [name for aim in aims for name in aim])
    found = Found(_least(form, box, domain, room, deadline), exhaustive=True)
    for aim in aims:
        weights = _whole_weights(aim, domain.names)
        better = Search(form, box, weights, room, found.point).run(deadline)
        found = Found(better.point, found.exhaustive and better.exhaustive)
        box = _fixed(box, weights, found.point)
    point = min(least(form, box, deadline)[1] or found.point, found.point, key=form)
    values, along = domain.values(point), _along(aims)
    return Fit(
        values,
        math.ceil(form(point)),
        room,
        found.exhaustive,
        along,
        tuple(name for name in along if values[name] == domain.span(name)[1]),
        processes,
        dict(subject_to or {}),
        plan,
    )


def _deadline(time_limit: float | str | None) -> float:
    return math.inf if time_limit is None else time.monotonic() + parse_duration(time_limit)


def _check_counted(plan: Any, names: Set[str]) -> None:
    """Refuse dimensions on which buffers depend that are outside of the plan: they cost nothing."""
    sizes = [each.size for each in getattr(plan, "unplanned", ())]
    endless = {name for name in names if plan.dims[name].upper is None}
    found = endless & {symbol.name for size in sizes for symbol in size.free_symbols}
    if found:
        name = min(found)
        raise UnboundedDimension(
            f"buffers whose size depends on {name} are outside of the plan, and not in its bytes; "
            f"plan with torch.export.Dim({name!r}, max=…)"
        )


def _least(form: Form, box: Box, domain: Domain, room: int, deadline: float) -> Point:
    """Return the point that needs least, which has to fit."""
    needed, point = least(form, box, deadline)
    if not point and box == domain.box:
        raise InvalidBounds(
            "no values within these bounds satisfy the relations that the module states "
            "(`plan.relations`); allow others"
        )
    if not point:  # There may be some beyond what fits.
        point = tuple(low for low, _ in box)
        needed = max(form(point), room + 1)
    if needed > room:
        raise BudgetExceeded(_too_small(needed, room, domain.values(point)))
    return point


def _aims(maximize: Aim, dims: Mapping[str, Any]) -> list[Mapping[str, float]]:
    """Return one set of weights after the other."""
    names = dict.fromkeys(names_in(maximize, "`maximize`"))
    check_names(dims, names, "`maximize`")
    if not dims:
        raise InvalidArgument(
            "the plan has no dimension that could be made large: plan with dynamic_shapes=…"
        )
    if not names:
        raise InvalidArgument(f"say what to maximize: one or more of {', '.join(dims)}")
    if not isinstance(maximize, Mapping):
        return [{name: 1} for name in names]
    return [{name: _weight(name, weight) for name, weight in maximize.items()}]


def _weight(name: str, weight: Any) -> float:
    if not isinstance(weight, Real) or not math.isfinite(weight):
        raise InvalidArgument(f"the weight of {name} is a finite number, not {weight!r}")
    return weight  # type: ignore[return-value]  # As it is, for a Fraction of it is exact.


def _along(aims: Sequence[Mapping[str, float]]) -> tuple[str, ...]:
    return tuple(max(aim, key=lambda name: aim[name]) for aim in aims)


def _whole_weights(aim: Mapping[str, float], names: Sequence[str]) -> list[int]:
    """Return weights as whole numbers in the same proportion: sums of them are exact."""
    exact = [Fraction(aim.get(name, 0)) for name in names]
    unit = math.lcm(*(each.denominator for each in exact))
    return [int(each * unit) for each in exact]


def _fixed(box: Box, weights: Sequence[int], point: Sequence[int]) -> Box:
    return tuple(
        (value, value) if weight else span
        for span, weight, value in zip(box, weights, point, strict=True)
    )


def _expression(plan: Any, processes: int) -> Any:
    if whole(processes, "`processes`") < 1:
        raise InvalidArgument(f"a budget is for one process or more, not {processes}")
    if processes == 1:
        return plan.bytes
    return plan.weights_nbytes + processes * (plan.bytes - plan.weights_nbytes)


def _too_small(needed: Any, room: int, values: Mapping[str, int]) -> str:
    missing = math.ceil(needed) - room
    where = ", ".join(f"{name} = {value}" for name, value in values.items())
    return (
        f"{format_size(math.ceil(needed))} ({math.ceil(needed)} bytes) are needed at least, at "
        f"{where}: {missing} bytes more than the budget of {format_size(room)}; raise the budget, "
        "or allow smaller values"
    )
