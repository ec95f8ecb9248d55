"""The demo's plot: plan a model, run it in many shapes beside eager, then fit it to budgets."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import torch

from onecopy.demo.check import Check
from onecopy.demo.plan.reader import output_seen_elsewhere
from onecopy.planner import plan, record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.demo.plan.subject import Subject
    from onecopy.planner import Plan

SHAPES: Final = 50
STEP: Final = 16
"""Tokens, in which the longest text is measured."""


@dataclass
class Outcome:
    """What was seen of one model; sizes in bytes, without weights and inputs."""

    subject: Subject
    plan: Plan
    seconds: float
    """From the module to its plan, and to the planned callable."""
    eager: list[Run] = field(default_factory=list)
    planned: list[Run] = field(default_factory=list)
    lower_bound: int = 0
    arena: int = 0
    contexts: list[Context] = field(default_factory=list)
    """By the formula, one for each budget."""
    certified: Context | None = None
    """For the last budget; a step more is too much, unless the model allows no more."""
    checks: list[Check] = field(default_factory=list)


@dataclass(frozen=True)
class Context:
    """The longest text of one sequence under a budget, weights and inputs included."""

    budget: int
    tokens: int
    peak: int | None = None
    """What was measured; None: the formula says so."""


@dataclass(frozen=True)
class Run:
    """One run: the memory at its peak, and how often the heap was asked for some."""

    peak: int
    allocations: int


class Story:
    """Plays it once; `say` is told what is going on."""

    def __init__(
        self, subjects: Sequence[Subject], shapes: int, say: Callable[[str], None]
    ) -> None:
        self._subjects = subjects
        self._shapes = shapes
        self._say = say

    def play(self) -> list[Outcome]:
        """Run everything; what does not hold is a failed check in the outcome."""
        with torch.no_grad():
            return [self._play(each) for each in self._subjects]

    def _play(self, subject: Subject) -> Outcome:
        self._say(f"{subject.title}: looking at what lives when …")
        started = time.perf_counter()
        made = _plan(subject, subject.batch, subject.length)
        run = made.bind()
        outcome = Outcome(subject, made, time.perf_counter() - started)
        self._say(f"{subject.title}: {self._shapes} random shapes, eager and planned …")
        with run:
            self._run_shapes(outcome, run)
        self._say(f"{subject.title}: another process reads the output from a store …")
        outcome.checks.append(output_seen_elsewhere(made))
        self._say(f"{subject.title}: how long a text fits into a budget …")
        _fit(outcome)
        return outcome

    def _run_shapes(self, outcome: Outcome, run: Any) -> None:
        subject, equal = outcome.subject, 0
        for batch, length in shapes(subject, self._shapes):
            args, kwargs = outcome.plan.inputs_at(batch=batch, length=length)
            recording = record(subject.module, *args, **kwargs)
            outcome.eager.append(Run(recording.peak, len(recording.allocations)))
            before = run.stats()
            equal += torch.equal(run(*args, **kwargs), recording.result)
            outcome.planned.append(_heap_use(before, run.stats()))
        stats = run.stats()
        outcome.lower_bound, outcome.arena = stats.lower_bound, stats.peak_nbytes
        wrong = self._shapes - equal
        outcome.checks += [
            Check("every output is the same, bit for bit", not wrong, f"{wrong} are not"),
            Check("the arena served all that was planned", not stats.misses, f"{stats}"),
        ]


def shapes(subject: Subject, count: int) -> list[tuple[int, int]]:
    """Return so many batch sizes and lengths, among them the bounds."""
    chance = random.Random(0)
    bounds = (subject.batch, subject.length)
    drawn = ((chance.randint(1, bounds[0]), chance.randint(1, bounds[1])) for _ in range(count - 1))
    return [bounds, *drawn]


def _heap_use(before: Any, after: Any) -> Run:
    allocations = after.outputs + after.misses - before.outputs - before.misses
    return Run(after.peak_nbytes, allocations)


def _plan(subject: Subject, batch: int, length: int) -> Plan:
    return plan(subject.module, subject.args, dynamic_shapes=subject.dynamic_shapes(batch, length))


def _fit(outcome: Outcome) -> None:
    """Find the longest text for each budget by the formula, and for the last one by measuring."""
    wide = _plan(outcome.subject, outcome.subject.batch, outcome.subject.longest)
    fits = [
        wide.fit(budget, maximize=["length"], subject_to={"batch": 1})
        for budget in outcome.subject.budgets
    ]
    outcome.contexts = [Context(fit.budget, fit.values["length"]) for fit in fits]
    found = fits[-1].certify(step=STEP)
    outcome.certified = Context(found.budget, found.values["length"], found.peak)
    claim = "with the longest text that was measured to fit, the peak is within the budget"
    outcome.checks.append(Check(claim, found.peak <= found.budget, str(found)))
