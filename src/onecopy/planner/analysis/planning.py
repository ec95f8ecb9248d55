"""`plan`: everything from a module to its Plan, in the order in which it happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from onecopy.errors import InvalidArgument
from onecopy.planner.analysis.dims import Dim, check_names, names_in, refuse_unbounded
from onecopy.planner.analysis.examples import enlarged, examples_of
from onecopy.planner.analysis.export import exported
from onecopy.planner.analysis.leaves import Leaf, completed, leaves_of
from onecopy.planner.analysis.lifetimes import buffers_of
from onecopy.planner.analysis.plan import Plan
from onecopy.planner.analysis.program import Program, followed
from onecopy.planner.analysis.relations import declared, is_hint, names_of
from onecopy.planner.analysis.sizes import Sizes
from onecopy.planner.analysis.upper import bounded, relations_of
from onecopy.planner.arguments import arguments


def plan(
    module: Any,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    *,
    state: str | Iterable[str] = (),
    dynamic: str | Iterable[str] = (),
    device: Any = None,
) -> Plan:
    """Analyse a module for all shapes within the bounds of its dimensions.

    `args` and `kwargs` are an example; `dynamic_shapes` says which of their sizes vary, as
    torch.export has it, with `torch.export.Dim(name, min=…, max=…)`; arguments that are not in it
    do not vary. `state` names buffers of the
    module or arguments that live from call to call, such as KV caches; what a call writes to is
    state without being named. Dimensions in `dynamic` may lack an upper bound: buffers whose size
    depends on them stay outside the plan. A module on the meta device is analysed as if it ran on
    `device` (default: the CPU, and no other has been tried).

        batch, length = Dim("batch", min=1, max=8), Dim("length", max=2048)
        plan = planner.plan(model, (ids,), dynamic_shapes={"ids": {0: batch, 1: length}})
        plan.bytes                             # 4096*batch*length + …
        plan.problem(batch=1).lower_bound      # bytes; length at its bound

    Raises:
        UnboundedDimension: a dimension has no upper bound and is not in `dynamic`.
        InvalidBounds: bounds are crossed, negative, or contradict each other or the example.
        ExportFailed: torch.export does not take the module.
        InvalidArgument: names or arguments that do not fit the module.

    """
    inner = _module_of(module)
    args, kwargs = arguments(args, kwargs)
    state, dynamic = names_in(state, "state"), names_in(dynamic, "dynamic")
    if hasattr(dynamic_shapes, "dynamic_shapes"):  # a torch.export.ShapesCollection
        dynamic_shapes = dynamic_shapes.dynamic_shapes(inner, args, kwargs)
    leaves = leaves_of(inner, args, kwargs, dynamic_shapes)
    dims = declared(leaves)
    refuse_unbounded(dims, dynamic)
    trial = _trial(args, kwargs, leaves, dims)
    shapes = completed(inner, args, kwargs, dynamic_shapes)
    program = followed(exported(inner, *trial, shapes), inner, leaves, state, _device(device))
    names = names_of(leaves, dims, program.shapes, program.ranges)
    sizes = Sizes(names, program.trace.limits, program.ranges)
    buffers = buffers_of(program.trace, program.kinds, sizes.of)
    refuse_unbounded(names.dims, dynamic)
    check_names(names.dims, dynamic, "dynamic")
    relations = relations_of(program.stated, sizes)
    return Plan(
        dims=names.dims,
        buffers=bounded(buffers, names.dims, relations),
        relations=relations,
        steps=max(program.trace.steps, 1),
        module=module,
        examples=examples_of(args, kwargs, leaves, _varying(leaves, program, sizes)),
    )


def _module_of(module: Any) -> Any:
    """Return the module that is analysed: of a compiled one, that which it was made from."""
    import torch

    if isinstance(module, torch.export.ExportedProgram):
        raise InvalidArgument("a plan needs the nn.Module that was exported, not its program")
    if isinstance(module, torch.jit.ScriptModule):
        raise InvalidArgument("a plan needs the nn.Module that was scripted: it cannot be exported")
    if not isinstance(module, torch.nn.Module):
        raise InvalidArgument(
            f"a plan needs an nn.Module, not {type(module).__name__}; call it in the `forward` "
            "of one"
        )
    return getattr(module, "_orig_mod", module)


def _device(device: Any) -> Any:
    """Return the device on which operators are asked what they allocate; it has to be there."""
    import torch

    try:
        found = torch.device("cpu" if device is None else device)
        there = torch.get_device_module(found).is_available()
    except (RuntimeError, TypeError):
        raise InvalidArgument(
            f"{device!r} is no device of torch; leave it out, for the CPU"
        ) from None
    if not there:
        raise InvalidArgument(
            f"there is no {found} here, whose operators would say what they allocate; plan for the "
            "CPU, where onecopy runs models"
        )
    return found


def _trial(
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    leaves: Sequence[Leaf],
    dims: Mapping[str, Dim],
) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return the arguments with which to export: the example, larger where a size is 0 or 1.

    Views are copied, for of their base's size the export would know nothing; and what is given
    twice, for it would take both for one.
    """
    examples = examples_of(args, kwargs, leaves, [_named_sizes(leaf, dims) for leaf in leaves])
    larger = enlarged(dims, examples)
    tensors = [leaf.value for leaf in leaves if hasattr(leaf.value, "_is_view")]
    views = any(tensor._is_view() for tensor in tensors)
    twice = len({id(tensor) for tensor in tensors}) < len(tensors)
    return examples.at(larger) if larger or views or twice else (args, kwargs)


def _named_sizes(leaf: Leaf, dims: Mapping[str, Dim]) -> dict[int | None, Any]:
    sizes = {}
    for axis, dim in leaf.varying.items():
        if not is_hint(dim):
            root = getattr(dim, "root", None)
            symbol = dims[(root or dim).__name__].symbol
            sizes[axis] = symbol if root is None else dim.fn(symbol)
    return sizes


def _varying(leaves: Sequence[Leaf], program: Program, sizes: Sizes) -> list[dict[int | None, Any]]:
    """Return, for each input, the expressions of the sizes that vary."""
    return [
        {axis: sizes.of(shape if axis is None else shape[axis]) for axis in leaf.varying}
        for leaf, shape in zip(leaves, program.shapes, strict=True)
    ]
