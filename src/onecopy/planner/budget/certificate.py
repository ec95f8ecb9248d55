"""The largest parameters that fit when they are measured, not only by the formula."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from onecopy.errors import InvalidArgument, InvalidBounds
from onecopy.planner.analysis.dims import check_names, names_in
from onecopy.planner.budget.boxes import least
from onecopy.planner.budget.domain import Domain, Wish
from onecopy.planner.budget.edge import Edge, Measure
from onecopy.planner.budget.form import Form
from onecopy.planner.budget.prober import Measured, Prober
from onecopy.planner.numbers import whole
from onecopy.units import format_size, parse_size

_PATIENCE = 5.0
"""Seconds to find the least values of later dimensions; odd formulas would take longer."""


@dataclass(frozen=True)
class Certificate:
    """What was measured: at the values asked for, at the best ones, and one step beyond.

    `along` are the dimensions that were made large, an earlier one before all later ones. For each
    `refused` has the next larger step, which was measured and does not fit: with earlier dimensions
    as they are, and later ones at their least. None: the bound came first.
    """

    budget: int
    along: tuple[str, ...]
    asked: Measured
    best: Measured
    refused: Mapping[str, Measured | None]
    runs: int

    @property
    def beyond(self) -> Measured | None:
        """The next larger step of the last dimension, with all others as they are."""
        return self.refused[self.along[-1]]

    @property
    def values(self) -> dict[str, int]:
        """The largest values that fit."""
        return self.best.values

    @property
    def peak(self) -> int:
        """Bytes at the peak there: weights, inputs and what was allocated."""
        return self.best.peak or 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can carry."""
        beyond = None if self.beyond is None else asdict(self.beyond)
        return {**asdict(self), "beyond": beyond, "values": self.values, "peak": self.peak}

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {value:,}" for name, value in self.values.items())
        return (
            f"{values}: measured {format_size(self.peak)} of {format_size(self.budget)} "
            f"({format_size(self.best.weights)} weights, {format_size(self.best.inputs)} inputs, "
            f"{format_size(self.best.allocated or 0)} allocated; RSS {format_size(self.best.rss)})"
        )


def certify(
    plan: Any,
    values: Mapping[str, int],
    budget: int | str,
    *,
    along: str | Sequence[str] | None = None,
    step: int | Mapping[str, int] = 1,
    subject_to: Mapping[str, Wish] | None = None,
    processes: int = 1,
    factory: str | None = None,
    timeout: float = 600,
) -> Certificate:
    """Run a plan's module under a budget, and find the largest values that fit.

        found = plan.fit("64MiB", maximize=["s"])
        plan.certify(found.values, "64MiB", step=16).values

    In a process of its own, whose allocator refuses at the budget. Peak is weights, inputs and
    the largest sum of what torch allocated; what shares memory counts once. The formula is what
    guesses, so a few runs are enough; they are on the CPU, and without gradients.

    Args:
        plan: a `Plan` with its module; anything that `planner.plan` returns.
        values: where to begin, a value for each dimension. Others are at their bound.
        budget: bytes, or a size such as "64MiB".
        along: the dimension to make large; by default the first of `values`. Of several, an
            earlier one counts before all later ones, which are at their least while it is tried.
        step: in which steps; a number counts for the last of `along`, the others go by 1. Bounds
            are steps too.
        subject_to: bounds to stay within, as `fit` has them.
        processes: the budget is for so many, whose weights are in a store and so count once.
        factory: if the module cannot be pickled, "package.module:function" that makes it, or its
            plan; or the folder of a model of transformers.
        timeout: seconds for one run.

    Raises:
        BudgetExceeded: not even the least values of `along` fit.
        UnsupportedValue: the module cannot be sent to another process.
        InvalidBounds: the values are outside of the plan's bounds, or of `subject_to`.
        InvalidArgument: names that are no dimensions; or the module fails for another reason.
        WorkerLost: the process was ended.
        WaitTimeout: a run took longer than `timeout`.
    """
    names = _names(plan, values, along)
    steps = _steps(plan, step, names[-1])
    if whole(processes, "`processes`") < 1:
        raise InvalidArgument(f"a budget is for one process or more, not {processes}")
    ascent = Ascent(
        plan, plan.values(values), parse_size(budget), Domain.of(plan.dims, subject_to or {})
    )
    with Prober(plan, factory, timeout) as prober:
        return ascent.run(names, steps, partial(prober.measure, processes=processes))


class Ascent:
    """One dimension after the other is made as large as is measured to fit."""

    def __init__(self, plan: Any, values: dict[str, int], budget: int, domain: Domain) -> None:
        self._form = Form(plan.bytes, domain.names, getattr(plan, "relations", ()))
        self._values, self._budget, self._domain = values, budget, domain
        self._known: dict[tuple[int, ...], Measured] = {}
        for name in domain.names:
            low, high = domain.span(name)
            if (value := values.get(name)) is None:
                raise InvalidArgument(f"{name} has no upper bound: `values` needs one of it")
            if not low <= value <= high:
                raise InvalidBounds(f"{name} = {value} is not within `subject_to`; begin there")
        if not self._form.allows(self._point(values)):
            raise InvalidBounds(
                "the values do not satisfy the relations that the module states "
                "(`plan.relations`); begin with others"
            )

    def run(self, along: Sequence[str], steps: Mapping[str, int], measure: Measure) -> Certificate:
        """Measure what was asked for, then make one of `along` after the other large."""
        measure = self._once(measure)
        asked = measure(self._values, self._budget)
        best, refused, values = asked, {}, self._values
        for number, name in enumerate(along):
            later = along[number + 1 :]
            edge = Edge(
                partial(self._at, values, name, later),
                lambda at: self._form(self._point(at)),
                self._budget,
                values[name],
                self._domain.span(name),
                steps.get(name, 1),
            )
            best, refused[name] = edge.find(measure)
            if best.values[name] != values[name]:  # What was asked of later ones may not go there.
                values = best.values
        return Certificate(self._budget, tuple(along), asked, best, refused, len(self._known))

    def _at(
        self, values: dict[str, int], name: str, later: Sequence[str], value: int
    ) -> dict[str, int] | None:
        """Return the values with this one of a dimension, and what needs least of later ones."""
        fixed = {**values, name: value}
        spans = [
            self._domain.span(each) if each in later else (fixed[each],) * 2
            for each in self._domain.names
        ]
        _, point = least(self._form, tuple(spans), time.monotonic() + _PATIENCE)
        return self._domain.values(point) if point else None

    def _point(self, values: Mapping[str, int]) -> tuple[int, ...]:
        return tuple(values[name] for name in self._domain.names)

    def _once(self, measure: Measure) -> Measure:
        def remembered(values: dict[str, int], budget: int) -> Measured:
            point = self._point(values)
            if point not in self._known:
                self._known[point] = measure(values, budget)
            return self._known[point]

        return remembered


def _names(
    plan: Any, values: Mapping[str, int], along: str | Sequence[str] | None
) -> tuple[str, ...]:
    check_names(plan.dims, values, "`values`")
    first = next(iter(values), next(iter(plan.dims), None))
    chosen = first if along is None else along
    names = tuple(dict.fromkeys(names_in(chosen or (), "`along`")))
    if not names:
        raise InvalidArgument(
            "name the dimension to make large, along=…"
            if plan.dims
            else "the plan has no dimension that could be made large: plan with dynamic_shapes=…"
        )
    check_names(plan.dims, names, "`along`")
    return names


def _steps(plan: Any, step: int | Mapping[str, int], last: str) -> dict[str, int]:
    steps = dict(step) if isinstance(step, Mapping) else {last: step}
    check_names(plan.dims, steps, "`step`")
    for name, each in steps.items():
        if whole(each, f"the step of {name}") < 1:
            raise InvalidArgument(f"the step of {name} is 1 or more, not {each}")
    return steps
