"""From a plan, or a module and inputs at its bounds, to a planned module."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, get_args

from onecopy.errors import InvalidArgument
from onecopy.planner.arguments import arguments
from onecopy.planner.running.layout import lay_out
from onecopy.planner.running.planned import OnMiss, Output, Planned
from onecopy.planner.running.recording import Recording, record
from onecopy.planner.running.unchanged import copies_of, unchanged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Plannable(Protocol):
    """What a planned run needs of a plan."""

    module: Any
    recording: Recording | None
    """Of one run at the bounds; made here if there is none yet."""

    def inputs_at(self, **dims: int) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """Return arguments of the module at these sizes; without any, at the bounds."""
        ...


def bind(
    plan: Plannable, output: Output = "exact", store: Any = None, on_miss: OnMiss = "heap"
) -> Planned:
    """Return the plan's module as a callable whose allocations lie in an arena.

        run = bind(plan)
        logits = run(tokens)
        run.stats().misses          # 0

    The first time, the module is run twice at the bounds, without gradients: once to warm up, once
    recorded. Its buffers and torch's random numbers are as before afterwards; what else it keeps is
    what two runs made of it. Runs at any smaller shape then allocate nothing but their outputs.
    What finds no room goes to the heap: never an error, never a wrong result, always counted.

    Args:
        plan: a `Plan`, or what has its `module`, `inputs_at` and `recording`.
        output: `"exact"`: outputs have memory of their own, in their actual sizes; that of
            `store.storage()`, if it is entered. `"bound"`: each output has an address with room for
            its bound. It lies there unless an earlier one is held, in a memfd of its actual size:
            `store.save` of such a tensor copies nothing, and what is written to it afterwards stays
            its own. `"pool"`: outputs come from memory of the plan's that dead ones go back to;
            `run.pool_stats()` says how much that is.
        store: where `run.save(name, result)` saves; only with bound outputs.
        on_miss: `"heap"`: the heap serves what is not in the plan, and the log says so once.
            `"error"`: the run raises `AllocationMissed` when it is over.

    Raises:
        AllocatorUnavailable: torch's allocator cannot be replaced here.
    """
    _check("output", output, get_args(Output))
    _check("on_miss", on_miss, get_args(OnMiss))
    if store is not None and output != "bound":
        raise InvalidArgument(
            'outputs would be copied into the store; bind with output="bound", or call the planned '
            "module in `with store.storage()`"
        )
    if plan.recording is None:
        args, kwargs = plan.inputs_at()
        plan.recording = record_module(plan.module, args, kwargs)
    return Planned(plan.module, lay_out(plan.recording), output, store, on_miss)


def _check(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InvalidArgument(f"{name} is one of {', '.join(choices)}, not {value!r}")


def bind_module(
    module: Any, args: Sequence[Any], kwargs: Mapping[str, Any] | None = None, **options: Any
) -> Planned:
    """Return a module as `bind` does, without a plan: recorded with these arguments.

        run = bind_module(model, (torch.ones(8, 512),))

    They are the largest that are to be planned for; it is run with copies of them. `options` are
    those of `bind`.

    Raises:
        InvalidArgument: the arguments are no tuple, or the keyword arguments no dict.
    """
    return bind(_Inputs(module, *arguments(args, kwargs)), **options)


@dataclass
class _Inputs:
    module: Any
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    recording: Recording | None = field(default=None)

    def inputs_at(self, **_: int) -> tuple[Sequence[Any], Mapping[str, Any]]:
        args, kwargs = copies_of((self.args, self.kwargs))
        return args, kwargs


def record_module(module: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Recording:
    """Record a second run of a module: what it makes once and keeps is no part of a run."""
    import torch

    with torch.no_grad(), torch.random.fork_rng(devices=[]), unchanged(module):
        module(*args, **kwargs)
        return replace(record(partial(module, *args, **kwargs)), result=None)
