"""Several searches in turn: which one ends soon cannot be told beforehand.

Searches differ in how they break ties, and in the peak that they aim at. Each gets some nodes,
again and again, until one finds a plan or goes through all of them. So the work is at most some
times that of the best one, which may be thousands of times less than that of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from onecopy.planner.packing.search import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.planner.packing.grid import Grid
    from onecopy.planner.packing.problem import Problem

NODES = 1_000
"""In one turn; twice the number of buffers if that is more: enough to get to the end of a plan."""
_STEPS = 300_000
"""Buffers looked at until it may be interrupted."""
_EVERY = 4
"""Rounds, of which one aims half way too."""


class Engine(Protocol):
    """A search in Python or in C."""

    def __init__(self, grid: Grid, capacity: int, crowded: bool) -> None: ...

    def run(self, nodes: int) -> Status:
        """Go on for so many nodes; return how it stands."""

    def offsets(self) -> list[int]:
        """Return the plan that was found, in units."""


@dataclass(frozen=True)
class Style:
    """How a search breaks ties."""

    order: list[int]
    """Of the grid's buffers."""
    crowded: bool
    """Buffers where most is still to be placed go before this order."""
    share: int
    """Of the nodes in each turn."""


def styles(problem: Problem, grid: Grid) -> list[Style]:
    """Return the ways to break ties: large buffers, wide ones, and those in crowded sections first.

    Chosen by trying all orders of width, area, size and load on MiniMalloc's instances A to K,
    whose parts then take 50,000 nodes at most; no single order fits all eleven.
    """
    every = range(len(grid))
    times = [problem.buffers[index].duration for index in grid.indices]
    widths = [sum(last - first for first, last in spans) for spans in grid.spans]
    crowds = [max(max(grid.loads[first:last]) for first, last in spans) for spans in grid.spans]
    sizes = grid.sizes
    wide = sorted(every, key=lambda i: (-times[i], -times[i] * sizes[i]))
    large = sorted(every, key=lambda i: (-widths[i] * sizes[i], -widths[i]))
    scarce = sorted(every, key=lambda i: (-crowds[i], -widths[i], -widths[i] * sizes[i]))
    return [Style(large, True, 1), Style(wide, True, 2), Style(scarce, False, 1)]


class Portfolio:
    """Improves a plan until it fits, or is proven to be the best.

    Its goal is the lower bound, or with a `capacity` any plan within that: it is done when there is
    one, or proven to be none. Some of the time it aims half way between the goal and the best plan,
    so that there is a better one even if the goal is too hard.
    """

    def __init__(
        self,
        problem: Problem,
        grid: Grid,
        engine: type[Engine],
        offsets: list[int],
        capacity: int | None,
    ) -> None:
        self.offsets, self.peak = offsets, grid.peak(offsets)
        """The best plan so far, in units of the grid; the bytes that it needs."""
        self.lower_bound = problem.lower_bound
        """What is proven to be needed."""
        self._grid = grid
        self._engine = engine
        self._capacity = capacity
        self._styles = styles(problem, grid)
        self._grids = [grid.arranged(style.order) for style in self._styles]
        self._searches: dict[int, list[Engine]] = {}
        self._rounds = 0
        self._nodes = max(NODES, 2 * len(grid))
        self._piece = max(_STEPS // max(len(grid), 1), 10)

    @property
    def done(self) -> bool:
        """Whether nothing is left to be found out."""
        return self.peak <= self.goal or self.lower_bound > self.goal

    @property
    def goal(self) -> int:
        """The bytes that are aimed at."""
        return self.lower_bound if self._capacity is None else self._capacity

    def turns(self) -> Iterator[None]:
        """Let every search have its turn, until all is done; yield often."""
        while not self.done:
            yield from self._round()

    def _round(self) -> Iterator[None]:
        for target in self._targets():
            for index, style in enumerate(self._styles):
                search = self._search(target, index)
                for nodes in self._pieces(style.share * self._nodes):
                    status = search.run(nodes)
                    if status != Status.RUNNING:
                        self._settle(target, index, status)
                        yield
                        return
                    yield

    def _pieces(self, nodes: int) -> Iterator[int]:
        for done in range(0, nodes, self._piece):
            yield min(self._piece, nodes - done)

    def _targets(self) -> list[int]:
        goal = self.goal
        self._rounds += 1
        half = (goal + self.peak) // 2
        return [goal, half] if self._rounds % _EVERY == 0 and half > goal else [goal]

    def _search(self, target: int, index: int) -> Engine:
        searches = self._searches.setdefault(target, [])
        if index == len(searches):
            crowded = self._styles[index].crowded
            searches.append(self._engine(self._grids[index], target, crowded))
        return searches[index]

    def _settle(self, target: int, index: int, status: Status) -> None:
        if status == Status.EXHAUSTED:
            self.lower_bound = self._grid.next_peak(target + 1)
        else:
            offsets = [0] * len(self._grid)
            found = self._searches[target][index].offsets()
            for buffer, offset in zip(self._styles[index].order, found, strict=True):
                offsets[buffer] = offset
            self.offsets, self.peak = offsets, self._grid.peak(offsets)
        # Of the others only those go on that still have the same aim.
        self._searches = {at: each for at, each in self._searches.items() if at == self.goal}
