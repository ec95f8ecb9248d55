"""Inputs of any size, made from the example that the caller gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from onecopy.planner.analysis.dims import Dim
from onecopy.planner.analysis.leaves import Leaf


@dataclass(frozen=True)
class Example:
    """One input: its value, and the expressions of the sizes that vary, by axis.

    A number that varies itself has its expression under the axis None.
    """

    path: str
    value: Any
    sizes: Mapping[int | None, Any]


@dataclass(frozen=True)
class Examples:
    """All inputs of a module, in the order of the tree of `(args, kwargs)`."""

    tree: Any
    inputs: Sequence[Example]

    def at(self, values: Mapping[str, int]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return `(args, kwargs)` whose dimensions have these values.

        What an example has along an axis is repeated: so indices stay valid. Sizes whose
        dimension is not among `values` stay as they are.
        """
        from torch.utils import _pytree

        leaves = [_resized(example, values) for example in self.inputs]
        args, kwargs = _pytree.tree_unflatten(leaves, self.tree)
        return tuple(args), dict(kwargs)


def examples_of(
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    leaves: Sequence[Leaf],
    sizes: Sequence[Mapping[int | None, Any]],
) -> Examples:
    """Put the inputs and the expressions of their sizes together."""
    from torch.utils import _pytree

    _, tree = _pytree.tree_flatten((args, dict(kwargs)))
    return Examples(
        tree,
        [Example(leaf.path, leaf.value, own) for leaf, own in zip(leaves, sizes, strict=True)],
    )


def enlarged(dims: Mapping[str, Dim], examples: Examples) -> dict[str, int]:
    """Return sizes for dimensions whose example is 0 or 1 though larger ones are allowed.

    torch.export takes a size of 0 or 1 for a constant.
    """
    found = {}
    for example in examples.inputs:
        for axis, size in example.sizes.items():
            dim = dims.get(str(size))
            small = axis is not None and example.value.shape[axis] < 2
            if small and dim is not None and (dim.upper is None or dim.upper >= 2):
                found[dim.name] = max(2, dim.lower)
    return found


def _resized(example: Example, values: Mapping[str, int]) -> Any:
    value = example.value
    if None in example.sizes:
        asked = _evaluated(example.sizes[None], values)
        return value if asked is None else asked
    if not hasattr(value, "untyped_storage"):
        return value
    sizes = {axis: _evaluated(size, values) for axis, size in example.sizes.items()}
    for axis, size in sizes.items():
        if size is not None and size != value.shape[axis]:
            value = _repeated(value, axis, size)
    return _like(value, example.value)


def _evaluated(size: Any, values: Mapping[str, int]) -> int | None:
    known = {s: values[s.name] for s in size.free_symbols if s.name in values}
    return int(size.subs(known)) if len(known) == len(size.free_symbols) else None


def _repeated(value: Any, axis: int | None, size: int) -> Any:
    import torch

    if not value.shape[axis]:
        shape = list(value.shape)
        shape[axis] = size  # type: ignore[index]
        return value.new_zeros(shape)
    at = torch.arange(size, device=value.device) % value.shape[axis]
    return value.index_select(axis, at)


def _like(value: Any, example: Any) -> Any:
    """Return a copy of a value, laid out in memory as the example is, and no view of anything."""
    import torch

    strides, step = [0] * value.dim(), 1
    for axis in sorted(range(value.dim()), key=lambda axis: (example.stride(axis), -axis)):
        strides[axis], step = step, step * max(value.shape[axis], 1)
    copy = torch.empty_strided(value.shape, strides, dtype=value.dtype, device=value.device)
    return copy.copy_(value.detach())
