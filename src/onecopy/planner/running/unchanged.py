"""A module run for a recording, and afterwards as it was before."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch


@contextmanager
def unchanged(module: Any) -> Iterator[None]:
    """Put back what a module's buffers were and held: a run may count, or fill a cache.

    What else a module keeps, in attributes that are no buffers, is its own.
    """
    import torch

    parts = list(module.modules()) if isinstance(module, torch.nn.Module) else []
    names = [(part._buffers, dict(part._buffers)) for part in parts]
    buffers = {id(each): each for _, held in names for each in held.values() if each is not None}
    before = [(each, each.detach().clone()) for each in buffers.values()]
    try:
        yield
    finally:
        for current, held in names:
            current.clear()
            current.update(held)
        for buffer, content in before:
            # Buffers may be of a store and read-only: written to only if the run wrote, too.
            if _differ(buffer, content):
                buffer.copy_(content)


def copies_of(values: Any) -> Any:
    """Return a tree of arguments with tensors of their own: a run may write to them."""
    import torch

    made: dict[int, torch.Tensor] = {}

    def copy(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        if id(value) not in made:
            made[id(value)] = value.detach().clone()
        return made[id(value)]

    return torch.utils._pytree.tree_map(copy, values)


def _differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors of one kind differ in any bit; NaN is equal to itself here."""
    import torch

    if one.layout is not torch.strided or one.is_quantized:
        return True
    flat = (each.reshape(-1).view(torch.uint8) for each in (one, other))
    return not torch.equal(*flat)
