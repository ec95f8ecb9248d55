"""What planned runs came to."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from onecopy.planner.running.layout import Layout
    from onecopy.planner.running.native_modes import ReplayFacts


class Stats(NamedTuple):
    """Counts over all runs of a planned module; sizes in bytes."""

    calls: int
    hits: int
    """Allocations that got their slot in the arena."""
    hit_bytes: int
    outputs: int
    """Allocations that outlive their run, and are made outside of the arena by intention."""
    output_bytes: int
    too_large: int
    """Misses: larger than the slot, as above the bounds."""
    held: int
    """Misses: something that lives lies in the slot, or a part of it."""
    unplanned: int
    """Misses: more allocations than were recorded."""
    miss_bytes: int
    arena_nbytes: int
    """Of one arena: each run at the same time has one of its own."""
    arenas: int
    arenas_given_up: int
    """Because a tensor in them outlived its run: they end with it."""
    committed_nbytes: int
    """Memory that the arenas have of the system now."""
    peak_nbytes: int
    """The most that an arena and the outputs of one run took together."""
    planned_nbytes: int
    """What they need by the plan."""
    lower_bound: int
    """What no plan could do without."""

    @property
    def misses(self) -> int:
        """Allocations that torch's own allocator served, though they were to be in the arena."""
        return self.too_large + self.held + self.unplanned


def stats_of(facts: ReplayFacts, layout: Layout) -> Stats:
    """Return the stats that facts of the C library stand for."""
    return Stats(
        calls=facts.runs,
        hits=facts.hits,
        hit_bytes=facts.hit_bytes,
        outputs=facts.kept,
        output_bytes=facts.kept_bytes,
        too_large=facts.too_large,
        held=facts.blocked,
        unplanned=facts.beyond,
        miss_bytes=facts.miss_bytes,
        arena_nbytes=layout.arena_nbytes,
        arenas=facts.regions,
        arenas_given_up=facts.given_up,
        committed_nbytes=facts.committed,
        peak_nbytes=facts.most,
        planned_nbytes=layout.peak,
        lower_bound=layout.lower_bound,
    )
