"""The edge along one dimension: the largest value that fits, and the next one, which does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from onecopy.errors import BudgetExceeded
from onecopy.planner.budget.prober import Measured
from onecopy.units import format_size

Values = Mapping[str, int]

Measure = Callable[[dict[str, int], int], Measured]
"""What runs a module at some values under a budget."""

_FAR = 1 << 40


class Edge:
    """Between the largest value that was seen to fit and the least that was seen not to.

    Values are `start`, and whole steps away from it; the ends of `span` count as steps too, for
    the last one may be shorter. `at` gives, for a value, those of all dimensions, or None where a
    relation that the module states forbids it; `nbytes` is the formula.
    """

    def __init__(
        self,
        at: Callable[[int], dict[str, int] | None],
        nbytes: Callable[[Values], Any],
        budget: int,
        start: int,
        span: tuple[int, float],
        step: int = 1,
    ) -> None:
        self._at, self._nbytes, self._budget = at, nbytes, budget
        self._start, self._span, self._step = start, span, step
        # Steps away from where it begins.
        self._lowest = self._last_allowed(-1, math.ceil((start - span[0]) / step))
        self._highest = self._last_allowed(
            1, math.ceil((span[1] - start) / step) if span[1] < math.inf else math.inf
        )
        self._seen: dict[int, Measured] = {}
        self._fits: int | None = None
        self._fails: int | None = None

    def find(self, measure: Measure) -> tuple[Measured, Measured | None]:
        """Measure until a value fits and the next one does not; return both.

        The second is None where the span ended first.

        Raises:
            BudgetExceeded: not even the least value fits.
        """
        self._measure(0, measure)
        halving = False
        while (at := self._next(halving)) is not None:
            before = self._width()
            self._measure(at, measure)
            halving = self._width() > before / 2  # A guess that told little: halve instead.
        if self._fits is None:
            raise BudgetExceeded(self._refusal())
        return self._seen[self._fits], None if self._fails is None else self._seen[self._fails]

    def _last_allowed(self, sign: int, steps: float) -> Any:
        """Return how far one can go in a direction; what relations allow has no holes."""
        if steps == math.inf and self._values(_FAR) is not None:
            return steps
        near, far = 0, int(min(steps, _FAR))
        if self._values(sign * far) is not None:
            return sign * far
        while far - near > 1:
            middle = (near + far) // 2
            near, far = (near, middle) if self._values(sign * middle) is None else (middle, far)
        return sign * near

    def _values(self, at: int) -> dict[str, int] | None:
        low, high = self._span
        return self._at(int(min(max(self._start + at * self._step, low), high)))

    def _measure(self, at: int, measure: Measure) -> None:
        self._seen[at] = found = measure(self._values(at) or {}, self._budget)
        if found.fits:
            self._fits = at
        else:
            self._fails = at

    def _formula(self, at: int) -> float:
        values = self._values(at)
        return math.inf if values is None else float(self._nbytes(values))

    def _width(self) -> float:
        fits = self._lowest - 1 if self._fits is None else self._fits
        end: float = self._highest + 1 if self._fails is None else self._fails
        return end - fits

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
        room = self._budget * self._formula(low) / peak
        # The first of these that is too much is an end for the bisection.
        end, reach = min(self._highest, _FAR), 1
        while low + reach <= end and self._formula(low + reach) <= room:
            reach *= 2
        high = min(low + reach, int(end) + 1)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._formula(middle) <= room else (low, middle)
        return low

    def _refusal(self) -> str:
        least = self._seen[self._lowest]
        where = ", ".join(f"{name} = {value}" for name, value in least.values.items())
        return (
            f"not even {where} fits into {format_size(self._budget)}: {least.why}; raise the "
            "budget, or allow smaller values of the other dimensions"
        )
