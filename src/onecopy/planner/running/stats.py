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
    """Allocations that the arena served."""
    hit_bytes: int
    displaced: int
    """Hits elsewhere than in their slot: it was too small or in use, but there was room."""
    outputs: int
    """Allocations that outlive their run, and are made outside of the arena by intention."""
    output_bytes: int
    too_large: int
    """Misses: larger than their slots, as above the bounds, and than any gap of the arena."""
    held: int
    """Misses: something that lives lay in the slot, and there was no other room."""
    unplanned: int
    """Misses: more allocations than were recorded."""
    unmapped: int
    """Misses: no address space, or no memory map, was left for an arena."""
    unplaced: int
    """Misses: outputs that were to be bound, or in the pool. No descriptor, map or room was left
    for them, or they are above their bounds."""
    miss_bytes: int
    arena_nbytes: int
    """Of one arena: each run at the same time has one of its own."""
    arenas: int
    arenas_held: int
    """In which a tensor lives that has outlived its run: they are not used until it dies."""
    committed_nbytes: int
    """Memory of the arenas, and of outputs that have died, which the next run uses again."""
    peak_nbytes: int
    """The most that an arena and the outputs of one run took together."""
    planned_nbytes: int
    """What they need by the plan."""
    lower_bound: int
    """What no plan could do without."""
    outputs_moved: int = 0
    """Outputs that were not at their address, since an earlier one lived there."""
    orders: int = 1
    """In which runs allocate: that of the recording, and those of shapes that parted from it."""

    @property
    def misses(self) -> int:
        """Allocations that torch's own allocator served, though the plan has a place for them."""
        return self.too_large + self.held + self.unplanned + self.unmapped + self.unplaced


def stats_of(facts: ReplayFacts, layout: Layout) -> Stats:
    """Return the stats that facts of the C library stand for."""
    return Stats(
        calls=facts.runs,
        hits=facts.hits,
        hit_bytes=facts.hit_bytes,
        displaced=facts.displaced,
        outputs=facts.kept,
        outputs_moved=facts.moved,
        orders=facts.orders,
        output_bytes=facts.kept_bytes,
        too_large=facts.too_large,
        held=facts.blocked,
        unplanned=facts.beyond,
        unmapped=facts.unmapped,
        unplaced=facts.unplaced,
        miss_bytes=facts.miss_bytes,
        arena_nbytes=layout.arena_nbytes,
        arenas=facts.regions,
        arenas_held=facts.held,
        committed_nbytes=facts.committed,
        peak_nbytes=facts.most,
        planned_nbytes=layout.peak,
        lower_bound=layout.lower_bound,
    )
