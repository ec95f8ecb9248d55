"""What a plan is for: running in its memory, and fitting into a budget.

Both are packages of their own, which are imported when they are needed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from onecopy.planner.analysis.weights import check_room, check_runnable

if TYPE_CHECKING:
    from onecopy.planner.budget.certificate import Certificate
    from onecopy.planner.budget.domain import Wish
    from onecopy.planner.budget.fitting import Aim, Fit
    from onecopy.planner.budget.trade_off import TradeOff
    from onecopy.planner.running.planned import OnMiss, Output, Planned


class Tasks(ABC):
    """The methods of a `Plan` that run its module, or search its formula."""

    module: Any
    recording: Any

    @abstractmethod
    def nbytes(self, **dims: int) -> int:
        """Return the bytes of a run at these values."""

    @abstractmethod
    def inputs_at(self, **dims: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return `(args, kwargs)` of these sizes."""

    def bind(
        self, output: Output = "exact", store: Any = None, on_miss: OnMiss = "heap"
    ) -> Planned:
        """Return the module as a callable that runs in planned memory: see `planner.bind`.

        Raises:
            InvalidArgument: the plan was loaded without its module, or that has no weights.
            BudgetExceeded: a run at the bounds needs more memory than there is.

        """
        from onecopy.planner.running.bind import bind

        check_runnable(self.module)
        if self.recording is None:
            check_room(self.nbytes())
        return bind(self, output, store, on_miss)

    def fit(
        self,
        budget: str | int,
        maximize: Aim,
        subject_to: Mapping[str, Wish] | None = None,
        *,
        processes: int = 1,
        time_limit: float | str | None = 10.0,
    ) -> Fit:
        """Find the largest dimensions with which a run fits into so many bytes: `planner.fit`.

        plan.fit("6GiB", maximize=["s"], subject_to={"b": 1, "c": (512, None)}).values
        """
        from onecopy.planner.budget.fitting import fit

        return fit(self, budget, maximize, subject_to, processes=processes, time_limit=time_limit)

    def certify(self, values: Mapping[str, int], budget: str | int, **options: Any) -> Certificate:
        """Measure whether a run at these values fits into so many bytes.

        Options are those of `planner.certify`: `along`, `step`, `subject_to`, `processes`,
        `factory`, `timeout`.
        """
        from onecopy.planner.budget.certificate import certify

        return certify(self, values, budget, **options)

    def table(
        self,
        budget: str | int,
        maximize: Aim,
        by: str,
        subject_to: Mapping[str, Wish] | None = None,
        **options: Any,
    ) -> TradeOff:
        """Return what one dimension may be for each value of another, `by`.

        Options are those of `planner.table`: `at`, `processes`, `time_limit`.
        """
        from onecopy.planner.budget.trade_off import table

        return table(self, budget, maximize, by, subject_to, **options)
