"""A module whose allocations go where a plan says."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, Final, Literal

from onecopy.errors import AllocationMissed, InvalidArgument
from onecopy.planner.running.native_modes import Replay, check
from onecopy.planner.running.output_pool import OutputPool
from onecopy.planner.running.stats import stats_of

if TYPE_CHECKING:
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
        self._replay = replay = Replay(
            *(layout.slots, layout.outputs, layout.peak),
            shared=output == "bound",
            pool=0 if pool is None else pool.id,
        )
        if pool is not None:
            pool.release()  # The plan has it now.
        self._number, self._enter, self._leave = replay.number, replay.enter, replay.leave
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
        code = self._enter(self._number)
        if code:
            check(code)
        try:
            result = self.module(*args, **kwargs)
        except BaseException:
            self._leave(self._number, 0)
            raise
        if self._leave(self._number, 1):
            self._report()
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

    def __repr__(self) -> str:
        arena = self.layout.arena_nbytes
        return f"<Planned {type(self.module).__name__}: an arena of {arena} bytes>"

    def _report(self) -> None:
        """Log each kind of miss once, or refuse the run."""
        stats = self.stats()
        found = [kind for kind in _MISSES if getattr(stats, kind)]
        if self._on_miss == "error":
            raise AllocationMissed(
                f"allocations of this run were {_MISSES[found[-1]]}. Plan for larger bounds, or "
                'bind with on_miss="heap"'
            )
        for kind in found:
            if kind not in self._told:
                self._told.add(kind)
                _log.warning(
                    "%d allocations (all misses: %d bytes) were %s; the heap served them",
                    *(getattr(stats, kind), stats.miss_bytes, _MISSES[kind]),
                )
