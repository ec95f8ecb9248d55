"""The largest parameter that fits when it is measured, not only by the formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.planner.analysis.dims import check_names
from onecopy.planner.budget.form import Form
from onecopy.planner.budget.prober import Measured, Prober
from onecopy.units import format_size, parse_size


@dataclass(frozen=True)
class Certificate:
    """What was measured: at the values asked for, at the best ones, and one step beyond.

    `beyond` is None where the plan's bound came first.
    """

    budget: int
    along: str
    asked: Measured
    best: Measured
    beyond: Measured | None
    runs: int

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
        return {**asdict(self), "values": self.values, "peak": self.peak}

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
    along: str | None = None,
    step: int = 1,
    processes: int = 1,
    factory: str | None = None,
    timeout: float = 600,
) -> Certificate:
    """Run a plan's module under a budget, and find the largest value of a dimension that fits.

        found = plan.fit("64MiB", maximize=["s"])
        plan.certify(found.values, "64MiB", step=16).values

    In a process of its own, whose allocator refuses at the budget. Peak is weights, inputs and
    the largest sum of what torch allocated; what shares memory counts once. The formula is what
    guesses, so a few runs are enough; they are on the CPU, and without gradients.

    Args:
        plan: a `Plan` with its module; anything that `planner.plan` returns.
        values: where to begin, a value for each dimension. Others are at their bound.
        budget: bytes, or a size such as "64MiB".
        along: the dimension to vary; by default the first of `values`.
        step: in which steps.
        processes: the budget is for so many, whose weights are in a store and so count once.
        factory: if the module cannot be pickled, "package.module:function" that makes it, or its
            plan; or the folder of a model of transformers.
        timeout: seconds for one run.

    Raises:
        BudgetExceeded: not even the least value of `along` fits.
        UnsupportedValue: the module cannot be sent to another process.
        InvalidArgument: the module fails for another reason.
        WorkerLost: the process was ended.
    """
    along = along or next(iter(values), "")
    check_names(plan.dims, values, "`values`")
    if along not in values:
        raise InvalidArgument(f"`values` needs a value of {along or 'a dimension'} to begin with")
    if step < 1 or processes < 1:
        raise InvalidArgument(f"a step is 1 or more, not {step}; so are processes ({processes})")
    with Prober(plan, factory, timeout) as prober:
        walk = Walk(plan, plan.values(values), parse_size(budget), along, step)
        return walk.run(partial(prober.measure, processes=processes))


Measure = Callable[[dict[str, int], int], Measured]
"""What runs a module at some values under a budget."""


class Walk:
    """Between the largest value that was seen to fit and the least that was seen not to."""

    def __init__(
        self, plan: Any, values: dict[str, int], budget: int, along: str, step: int
    ) -> None:
        self._values, self._budget, self._along, self._step = values, budget, along, step
        self._bytes = _formula(plan, values, along)
        dim, start = plan.dims[along], self._values[along]
        # Steps away from where it begins.
        self._lowest: int = -((start - dim.lower) // step)
        self._highest = math.inf if dim.upper is None else (dim.upper - start) // step
        self._seen: dict[int, Measured] = {}
        self._fits: int | None = None
        self._fails: int | None = None

    def run(self, measure: Measure) -> Certificate:
        """Measure until a value fits and the next one does not."""
        self._measure(0, measure)
        halving = False
        while (at := self._next(halving)) is not None:
            before = self._width()
            self._measure(at, measure)
            halving = self._width() > before / 2  # A guess that told little: halve instead.
        if self._fits is None:
            raise BudgetExceeded(self._refusal())
        beyond = None if self._fails is None else self._seen[self._fails]
        best = self._seen[self._fits]
        return Certificate(self._budget, self._along, self._seen[0], best, beyond, len(self._seen))

    def _measure(self, at: int, measure: Measure) -> None:
        values = {**self._values, self._along: self._value(at)}
        self._seen[at] = found = measure(values, self._budget)
        if found.fits:
            self._fits = at
        else:
            self._fails = at

    def _value(self, at: int) -> int:
        return self._values[self._along] + at * self._step

    def _width(self) -> float:
        fits = self._lowest - 1 if self._fits is None else self._fits
        return (self._highest + 1 if self._fails is None else self._fails) - fits

    def _next(self, halving: bool) -> int | None:
        """Return where to measure next; None if the edge is known."""
        if self._fits is None:
            assert self._fails is not None
            middle: int = (self._lowest + self._fails) // 2
            return None if self._fails == self._lowest else self._lowest if halving else middle
        low = self._fits + 1
        high: float = self._highest if self._fails is None else self._fails - 1
        if low > high:
            return None
        if halving and high < math.inf:
            return (low + int(high) + 1) // 2
        guess = self._guess()
        return low if guess < low else guess if guess <= high else int(high)

    def _guess(self) -> int:
        """Say where the line through the two best points meets the budget."""
        *_, (low, before), (high, last) = [(-1, 0), *self._peaks()]
        if before and last > before:
            return high + int((self._budget - last) * (high - low) // (last - before))
        return self._guess_by_formula(high, last)

    def _peaks(self) -> list[tuple[int, int]]:
        return sorted((at, each.peak or 1) for at, each in self._seen.items() if each.fits)

    def _guess_by_formula(self, low: int, peak: int) -> int:
        """Say where the formula, scaled by what was measured, meets the budget."""
        room = self._budget * self._bytes(self._value(low)) / peak
        # The first of these that is too much is an end for the bisection.
        reach = 1
        while self._bytes(self._value(low + reach)) <= room and reach < 1 << 40:
            reach *= 2
        high = low + reach
        while high - low > 1:
            middle = (low + high) // 2
            if self._bytes(self._value(middle)) <= room:
                low = middle
            else:
                high = middle
        return low

    def _refusal(self) -> str:
        least = self._seen[self._lowest]
        where = ", ".join(f"{name} = {value}" for name, value in least.values.items())
        return (
            f"not even {where} fits into {format_size(self._budget)}: {least.why}; raise the "
            "budget, or allow smaller values of the other dimensions"
        )


def _formula(plan: Any, values: Mapping[str, int], along: str) -> Callable[[int], float]:
    names = tuple(plan.dims)
    form = Form(plan.bytes, names)
    return lambda value: float(form([*({**values, along: value}[name] for name in names)]))
