"""The orders in which the runs of a plan allocate, by the shapes of their arguments."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from onecopy.planner.running.layout import lay_out
from onecopy.planner.running.recording import record

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from onecopy.planner.running.layout import Layout, Slot
    from onecopy.planner.running.recording import Recording

UNKNOWN: Final = -1
"""Of a call that is to be recorded."""

_CALLS: Final = 1024
"""So many kinds of calls are remembered."""

_RECORDINGS: Final = 32
"""So many calls are recorded: each takes its time, and a plan has no place for all."""

_PLAIN: Final = frozenset({bool, int, float, str, type(None)})


class Orders:
    """Which order of the C library's plan a call is expected to follow.

    Kernels choose their algorithm by the shape: a convolution of one image allocates less, and in
    another order, than one of eight. A run that strays from its order is right all the same, but
    what it returns may lie in the arena. So a call of the same shapes is recorded, once, on the
    way; its order is then one more of the same plan, in the same arena, if it has room there.

    `add` gives slots to the C library, and returns their number there, or None if it has no room.
    """

    def __init__(self, layout: Layout, add: Callable[[Sequence[Slot]], int | None]) -> None:
        self._layout = layout
        self._add = add
        self._left = _RECORDINGS
        self.known: dict[Hashable, int] = {}
        """By kind of call; empty as long as all runs go as recorded."""

    def of(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
        """Return the order of a call, or `UNKNOWN`."""
        order = self.known.get(_kind_of(args, kwargs), 0)
        return order if order != UNKNOWN or self._left > 0 else 0

    def note(self, args: Sequence[Any], kwargs: Mapping[str, Any], alike: int | None) -> None:
        """Learn that a call has strayed; `alike` is an order with as many allocations."""
        kind = _kind_of(args, kwargs)
        if kind not in self.known and len(self.known) >= _CALLS:
            return
        if alike is not None:
            self.known[kind] = alike
        else:
            self.known.setdefault(kind, UNKNOWN)

    def record(self, module: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a module within its run, and learn its order; return its result."""
        self._left -= 1
        recording = record(partial(module, *args, **kwargs))
        self.known[_kind_of(args, kwargs)] = self._learn(recording) or 0
        return recording.result

    def _learn(self, recording: Recording) -> int | None:
        if len(recording.allocations) == len(self._layout.slots):
            return 0
        layout = lay_out(recording, self._layout.arena_nbytes)
        return self._add(layout.slots) if _has_room(self._layout, layout) else None


def _has_room(plan: Layout, other: Layout) -> bool:
    """Whether an order finds room for its arena and each of its outputs where a plan has them."""
    places = [each.nbytes for each in plan.slots if each.kept]
    outputs = [each.nbytes for each in other.slots if each.kept]
    return (
        other.peak <= plan.peak
        and len(outputs) <= len(places)
        and all(own <= place for own, place in zip(outputs, places, strict=False))
    )


def _kind_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> Hashable:
    """Return what tells a call from others that may allocate in another order."""
    import torch

    leaves = torch.utils._pytree.tree_leaves((args, kwargs))
    shapes: list[Hashable] = [torch.is_grad_enabled()]
    for leaf in leaves:
        if isinstance(leaf, torch.Tensor):
            shapes.append(tuple(leaf.shape))
        else:
            kind: type = type(leaf)
            shapes.append(leaf if kind in _PLAIN else kind)
    return tuple(shapes)
