"""From what a walk over the graph has seen to buffers: their sizes, lifetimes and kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from onecopy.planner.analysis.buffer import Kind, SymbolicBuffer
from onecopy.planner.analysis.trace import Storage, Trace


def buffers_of(
    trace: Trace, kinds: Mapping[int, Kind], size_of: Callable[[Any], Any]
) -> list[SymbolicBuffer]:
    """Return a buffer for every storage, without upper bounds yet.

    `kinds` has the kind of each storage that was there before the first step; `size_of` turns
    a size as torch has it into an expression in the plan's dimensions.
    """
    ends = {name: step for step, name in enumerate(trace.nodes)}
    returned = set(trace.outputs)
    last = max(trace.steps, 1)
    buffers = []
    seen: set[int] = set()
    for key, storage in trace.storages.items():
        if id(storage) in seen:  # Tied weights: on the meta device the export tells them apart.
            continue
        seen.add(id(storage))
        kind = kinds.get(key) or _kind(storage, key in returned)
        start, end = _lifetime(storage, kind, last)
        buffers.append(
            SymbolicBuffer(
                name=storage.name,
                size=size_of(storage.nbytes),
                start=start,
                end=end,
                kind=kind,
                path=storage.path,
                op=storage.op,
                node=storage.node,
                temporary=kind == "intermediate" and end <= ends.get(storage.node, -1) + 1,
            )
        )
    return buffers


def _kind(storage: Storage, returned: bool) -> Kind:
    if storage.start < 0:
        return "weight"
    return "output" if returned else "intermediate"


def _lifetime(storage: Storage, kind: Kind, last: int) -> tuple[int, int]:
    if kind == "output":
        return storage.start, last
    if kind == "intermediate":
        return storage.start, storage.last_use + 1
    return 0, last
