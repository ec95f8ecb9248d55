"""A module whose allocations go where a plan says."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, Final, Literal, NoReturn

from onecopy.errors import AllocationMissed, InvalidArgument
from onecopy.planner.running.native_modes import STRAYED, Replay, alike, check
from onecopy.planner.running.orders import UNKNOWN, Orders
from onecopy.planner.running.output_pool import OutputPool
from onecopy.planner.running.stats import stats_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.planner.running.layout import Layout
    from onecopy.planner.running.output_pool import PoolStats
    from onecopy.planner.running.stats import Stats

OnMiss = Literal["heap", "error"]
Output = Literal["exact", "bound", "pool"]

_log = logging.getLogger(__name__)

_MISSES: Final = {
    "too_large": "larger than their slots: the input is above the bounds of the plan, or a kernel "
    "was chosen that needs more memory",
    "held": "kept out of their slots by tensors that live there: of a hook, a traceback, another "
    "thread, or because the order of allocations has changed",
    "unplanned": "more than were recorded: the order of allocations has changed",
    "unmapped": "without an arena: no address space, or no memory map, was left for one (ulimit "
    "-v, the sysctl vm.max_map_count); drop tensors that earlier runs have left",
    "unplaced": "outputs without the place that they were to have: no file descriptor, no memory "
    "map or no room is left (ulimit -n, the sysctl vm.max_map_count), or the input is above the "
    "bounds of the plan; drop earlier outputs",
}


class Planned:
    """Calls a module; what it allocates on the way lies in an arena, laid out beforehand.

    It is called as the module is, and returns what the module returns, in memory of its own. Hooks,
    exceptions and autograd are as ever: a tensor that is kept is never overwritten. Any number of
    threads may call it; each run at the same time has an arena of its own.

    `bind` makes one.
    """

    def __init__(
        self,
        module: Any,
        layout: Layout,
        output: Output = "exact",
        store: Any = None,
        on_miss: OnMiss = "heap",
    ) -> None:
        self.module = module
        self.store = store
        self.layout = layout
        self._on_miss = on_miss
        self._pool = pool = OutputPool(layout) if output == "pool" else None
        try:
            self._replay = replay = Replay(
                *(layout.slots, layout.outputs, layout.peak),
                shared=output == "bound",
                pool=0 if pool is None else pool.id,
            )
        finally:
            if pool is not None:
                pool.release()  # The plan has it now, or nobody needs it.
        self._number, self._depth = replay.number, replay.depth
        self._enter, self._leave = replay.enter, replay.leave
        self._orders = Orders(layout, replay.add)
        self._told: set[str] = set()
        self._last: Stats | None = None
        self._end = weakref.finalize(self, replay.release)
        self._end.atexit = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the module.

        Raises:
            AllocationMissed: an allocation was not in the plan, and `on_miss="error"` was given.
                The run is over then, its result dropped.
        """
        order = self._orders.of(args, kwargs) if self._orders.known else 0
        depth = self._depth()
        try:
            code = self._enter(self._number, max(order, 0))
            if code:
                check(code)
            if order == UNKNOWN:
                result = self._orders.record(self.module, args, kwargs)
            else:
                result = self.module(*args, **kwargs)
            outcome = self._leave(depth, 1)
        except BaseException:
            # A signal's exception may come anywhere: if nothing was entered, nothing is left.
            self._leave(depth, 0)
            raise
        if outcome & STRAYED:
            self._orders.note(args, kwargs, alike(outcome))
        missed = outcome & (STRAYED - 1)
        if missed:
            if self._on_miss == "error":
                del result  # The traceback would hold it.
                raise _refusal(missed)
            self._tell(missed)
        return result

    def save(self, name: str, value: Any, **options: Any) -> None:
        """Save a result in the store that was given, as `Store.save` does; nothing is copied.

        That is so for each whole output, once. Several of them at a time, or a part of one, are
        copied as ever.
        """
        if self.store is None:
            raise InvalidArgument('no store was given; bind with output="bound", store=store')
        self.store.save(name, value, **options)

    def stats(self) -> Stats:
        """Return what all runs so far came to; those of other threads when they are over."""
        facts = self._replay.facts()
        if facts is not None:
            self._last = stats_of(facts, self.layout)
        assert self._last is not None
        return self._last

    def pool_stats(self) -> PoolStats | None:
        """Return what the pool of outputs has, if they come from one and it has not ended."""
        return None if self._pool is None else self._pool.stats()

    def close(self) -> None:
        """Give the arena back; what lives in it keeps its memory. Twice is fine."""
        self.stats()
        self._end()

    def __enter__(self) -> Planned:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise InvalidArgument(
            "a planned module is of this process, and is not copied: bind its plan once more, "
            "elsewhere after Plan.save and Plan.load"
        )

    def __repr__(self) -> str:
        arena = self.layout.arena_nbytes
        return f"<Planned {type(self.module).__name__}: an arena of {arena} bytes>"

    def _tell(self, missed: int) -> None:
        """Log each kind of miss once."""
        new = [kind for kind in _kinds(missed) if kind not in self._told]
        if not new:
            return
        stats = self.stats()
        for kind in new:
            self._told.add(kind)
            _log.warning(
                "%d allocations (all misses: %d bytes) were %s; the heap served them",
                *(getattr(stats, kind), stats.miss_bytes, _MISSES[kind]),
            )


def _kinds(missed: int) -> Iterator[str]:
    """Return the kinds of misses of a run, of which the library has a bit each."""
    return (kind for bit, kind in enumerate(_MISSES) if missed >> bit & 1)


def _refusal(missed: int) -> AllocationMissed:
    found = "; ".join(_MISSES[kind] for kind in _kinds(missed))
    return AllocationMissed(
        f'allocations of this run were {found}. Plan for larger bounds, or bind with on_miss="heap"'
    )
