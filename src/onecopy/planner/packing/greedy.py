"""Plans by simple rules: buffers one after another, each as low as it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.planner.packing.grid import FREE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from onecopy.planner.packing.grid import Grid


def first_fit(grid: Grid, order: Sequence[int]) -> list[int]:
    """Place buffers in this order into the lowest hole that is large enough; fixed ones come first.

    Returns the offsets, in units, in the grid's order.
    """
    offsets = list(grid.fixed)
    neighbours, sizes, steps = grid.neighbours, grid.sizes, grid.steps
    placed = [each != FREE for each in grid.fixed]
    for index in order:
        if placed[index]:
            continue
        size, step, at = sizes[index], steps[index], 0
        taken = sorted((offsets[each], sizes[each]) for each in neighbours[index] if placed[each])
        for offset, other in taken:
            if offset >= at + size:
                break
            at = max(at, -(-(offset + other) // step) * step)
        offsets[index] = at
        placed[index] = True
    return offsets


def orders(grid: Grid) -> dict[str, list[int]]:
    """Return the orders that are tried, by what comes first in them.

    Large before small leaves small holes; long before short keeps the bottom quiet; crowded first
    begins where room is scarce. None is best for all problems.
    """
    loads = grid.loads
    lengths = [sum(last - first for first, last in spans) for spans in grid.spans]
    crowds = [max(max(loads[first:last]) for first, last in spans) for spans in grid.spans]
    sizes = grid.sizes
    keys: dict[str, Callable[[int], tuple[int, ...]]] = {
        "size": lambda i: (sizes[i], lengths[i]),
        "length": lambda i: (lengths[i], sizes[i]),
        "area": lambda i: (sizes[i] * lengths[i], sizes[i]),
        "crowd": lambda i: (crowds[i], sizes[i]),
        "start": lambda i: (-grid.spans[i][0][0], sizes[i]),
    }
    return {name: sorted(range(len(grid)), key=key, reverse=True) for name, key in keys.items()}
