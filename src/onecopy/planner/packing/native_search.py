"""The search of `search` and the rule of `greedy` in C: the same steps."""

from __future__ import annotations

import ctypes
import functools
import weakref
from array import array
from typing import TYPE_CHECKING

from onecopy.native import library
from onecopy.planner.packing.search import Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from onecopy.planner.packing.grid import Grid

_NO_MEMORY = 3


class _Grid(ctypes.Structure):
    """`struct grid` of native/grid.h."""

    _fields_ = (
        ("count", ctypes.c_int64),
        ("sections", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("sizes", "steps", "fixed", "spans", "span_at")),
    )


class NativeSearch:
    """The same as `search.Search`, in C; other threads run meanwhile."""

    def __init__(self, grid: Grid, capacity: int, crowded: bool = False) -> None:
        self._count = len(grid)
        self._functions = _functions()
        highest = _numbers(grid.highest(capacity))
        ceiling = grid.ceiling(capacity)
        with_arrays = _hand_over(grid)
        search = self._functions.onecopy_packing_new(
            ctypes.byref(with_arrays[0]), _address(highest), ceiling, crowded
        )
        if not search:
            raise MemoryError("no memory for a search; allow it fewer buffers, or no time")
        self._search = ctypes.c_void_p(search)
        # Not a method of its own: whoever drops a search wants its memory back.
        weakref.finalize(self, self._functions.onecopy_packing_free, self._search)

    @property
    def nodes(self) -> int:
        """How many buffers were placed, whatever came of it."""
        return int(self._functions.onecopy_packing_nodes(self._search))

    def run(self, nodes: int) -> Status:
        """Go on for so many nodes; return how it stands."""
        status = self._functions.onecopy_packing_run(self._search, nodes)
        if status == _NO_MEMORY:
            raise MemoryError("no memory for a search; allow it less time")
        return Status(status)

    def offsets(self) -> list[int]:
        """Return the plan that was found, in units."""
        offsets = _numbers([0] * self._count)
        self._functions.onecopy_packing_offsets(self._search, _address(offsets))
        return offsets.tolist()


def first_fit(grid: Grid, orders: Sequence[Sequence[int]]) -> list[list[int]]:
    """Do what `greedy.first_fit` does, for several orders."""
    count = len(grid)
    flat = _numbers(index for order in orders for index in order)
    offsets = _numbers([0] * len(flat))
    with_arrays = _hand_over(grid)
    if _functions().onecopy_first_fit(
        ctypes.byref(with_arrays[0]), len(orders), _address(flat), _address(offsets)
    ):
        raise MemoryError("no memory to plan with; plan fewer buffers at once")
    numbers = offsets.tolist()
    return [numbers[i * count : (i + 1) * count] for i in range(len(orders))]


@functools.cache
def _functions() -> ctypes.CDLL:
    functions = library().slow
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    grid = ctypes.POINTER(_Grid)
    functions.onecopy_packing_new.restype = pointer
    functions.onecopy_packing_new.argtypes = [grid, pointer, number, ctypes.c_int]
    functions.onecopy_packing_run.argtypes = [pointer, number]
    functions.onecopy_packing_nodes.restype = number
    functions.onecopy_packing_nodes.argtypes = [pointer]
    functions.onecopy_packing_offsets.restype = None
    functions.onecopy_packing_offsets.argtypes = [pointer, pointer]
    functions.onecopy_packing_free.restype = None
    functions.onecopy_packing_free.argtypes = [pointer]
    functions.onecopy_first_fit.argtypes = [grid, number, pointer, pointer]
    return functions


def _numbers(values: Iterable[int]) -> array[int]:
    return array("q", values)


def _address(numbers: array[int]) -> int:
    return numbers.buffer_info()[0]


def _hand_over(grid: Grid) -> tuple[_Grid, list[array[int]]]:
    """Return a grid as C sees it, and the arrays that it points to, which must live as long."""
    ends = [0]
    for spans in grid.spans:
        ends.append(ends[-1] + len(spans))
    flat = (number for spans in grid.spans for span in spans for number in span)
    arrays = [_numbers(each) for each in (grid.sizes, grid.steps, grid.fixed, flat, ends)]
    return _Grid(len(grid), grid.sections, *map(_address, arrays)), arrays
