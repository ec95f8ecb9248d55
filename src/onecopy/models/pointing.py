"""Making the tensors of a module that exists use other memory: the store's.

The tensors stay the same objects, so optimizers, ties and references keep their meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from onecopy.errors import WeightsMismatch
from onecopy.models.weights import Slot, slots

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Incompatible(NamedTuple):
    """The names that do not match, as `torch.nn.Module.load_state_dict` returns them."""

    missing_keys: list[str]
    """What the module has, and the weights have not."""
    unexpected_keys: list[str]
    """What the weights have, and the module has not."""


def point(module: Any, weights: Mapping[str, Any], strict: bool) -> Incompatible:
    """Make the parameters and buffers of `module` views of `weights`, which share its names.

    A tied parameter needs only one of its names. Buffers that a state dict leaves out are
    filled if they have no data yet (on the meta device) and `weights` has them.

    Raises:
        WeightsMismatch: they do not fit; the text lists all differences, and nothing has
            changed. Without `strict`, names that do not match are no difference.
    """
    tied = list(_tied(module).values())
    incompatible = _compare_names(tied, weights)
    plan = [(places, found) for places in tied if (found := _choose(places, weights))]
    problems = [problem for places, found in plan for problem in _misfits(places, found, weights)]
    if strict:
        problems += [f"missing: {name}" for name in incompatible.missing_keys]
        problems += [f"unexpected: {name}" for name in incompatible.unexpected_keys]
        problems += _false_ties(plan, weights)
    if problems:
        raise WeightsMismatch(
            f"the weights do not fit {type(module).__name__}:\n  "
            + "\n  ".join(problems)
            + "\nchange the module; with strict=False, names may be missing or unexpected"
        )
    for places, found in plan:
        _replace(places, weights[found])
    return incompatible


def _tied(module: Any) -> dict[int, list[Slot]]:
    """Return the places of each tensor; a place of a shared module may come twice."""
    tied: dict[int, list[Slot]] = {}
    for slot in slots(module):
        tied.setdefault(id(slot.tensor), []).append(slot)
    return tied


def _compare_names(tied: list[list[Slot]], weights: Mapping[str, Any]) -> Incompatible:
    expected = {slot.name for places in tied for slot in places}
    missing = [
        slot.name
        for places in tied
        if not any(slot.name in weights for slot in places)
        for slot in places
        if slot.persistent
    ]
    return Incompatible(missing, [name for name in weights if name not in expected])


def _choose(places: list[Slot], weights: Mapping[str, Any]) -> str | None:
    """Return the name of the weight that a tensor is to use, or None to leave it alone."""
    for slot in places:
        if slot.name in weights and (slot.persistent or slot.tensor.is_meta):
            return slot.name
    return None


def _misfits(places: list[Slot], found: str, weights: Mapping[str, Any]) -> Iterator[str]:
    tensor, weight = places[0].tensor, weights[found]
    if not isinstance(weight, torch.Tensor):
        yield f"{found} is a {type(weight).__name__}, not a tensor"
        return
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        yield f"{found} is a {type(tensor).__name__} of the module, which cannot be replaced"
        return  # A lazy one has not even a shape.
    if tensor.device.type not in ("cpu", "meta"):
        yield f"{found} is on {tensor.device} in the module; move it to the CPU first"
    if tensor.shape != weight.shape:
        yield f"{found} has the shape {tuple(weight.shape)}, in the module {tuple(tensor.shape)}"
    if tensor.dtype != weight.dtype:
        yield f"{found} is {weight.dtype}, in the module {tensor.dtype}"
    for slot in places:
        other = weights.get(slot.name, weight)
        if not _same(other, weight):
            yield f"{found} and {slot.name} are one tensor in the module, with two values here"


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if not isinstance(one, torch.Tensor) or one.shape != other.shape or one.dtype != other.dtype:
        return False
    # Only where names are tied and stored twice are bytes looked at.
    return _place(one) == _place(other) or torch.equal(one, other)


def _place(tensor: Any) -> tuple[Any, ...]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def _false_ties(plan: list[tuple[list[Slot], str]], weights: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is one tensor in the weights, and two in the module: training would mix them."""
    seen: dict[tuple[Any, ...], str] = {}
    for _, found in plan:
        weight = weights[found]
        if isinstance(weight, torch.Tensor) and weight.numel():
            first = seen.setdefault(_place(weight), found)
            if first != found:
                yield f"{first} and {found} are one tensor here, and two in the module: tie them"


def _replace(places: list[Slot], weight: Any) -> None:
    tensor, weight = places[0].tensor, weight.detach()
    if not tensor.is_meta:
        tensor.data = weight
        return
    # One without data cannot be given any, but it can change places with one that has.
    if isinstance(tensor, torch.nn.Parameter):
        weight = torch.nn.Parameter(weight, tensor.requires_grad)
    vars(weight).update(vars(tensor))
    try:
        torch.utils.swap_tensors(tensor, weight)
    except RuntimeError:  # Recurrent layers keep weak references, which would not follow.
        for slot in places:
            setattr(slot.owner, slot.name.rpartition(".")[2], weight)
