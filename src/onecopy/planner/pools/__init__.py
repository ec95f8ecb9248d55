"""Pools: memory for what no plan can place, because it lives too long or has no bound.

    pool          what all have in common: `allocate`, `free`, `stats`, `trim`
    memory        real memory below a pool, whose pages are committed when touched
    ranges        free ranges of addresses, which coalesce
    best_fit      one arena; the smallest free range that is large enough
    size_classes  powers of two, or finer steps; freed blocks wait for one of their class
    exact_sizes   freed blocks wait for one of exactly their size
    buddy         halves of halves, which merge again
    bound         one slot of the upper bound for each; pages beyond the actual size stay untouched

A pool hands out offsets. With `memory=` they are memory too; without, they are addresses only, to
find out what a pool would cost.
"""

from __future__ import annotations

from onecopy.planner.pools.best_fit import BestFit
from onecopy.planner.pools.bound import Bound
from onecopy.planner.pools.buddy import Buddy
from onecopy.planner.pools.exact_sizes import ExactSizes
from onecopy.planner.pools.memory import Memory
from onecopy.planner.pools.pool import Block, Pool, Stats
from onecopy.planner.pools.size_classes import SizeClasses

__all__ = [
    "BestFit",
    "Block",
    "Bound",
    "Buddy",
    "ExactSizes",
    "Memory",
    "Pool",
    "SizeClasses",
    "Stats",
]
