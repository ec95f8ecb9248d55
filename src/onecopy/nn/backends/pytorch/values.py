"""Between numpy's arrays and torch's tensors, and results of any form to a list of arrays."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch

from onecopy.errors import InferenceFailed
from onecopy.nn.backends import arrays
from onecopy.nn.backends.backend import Port

if TYPE_CHECKING:
    from onecopy.nn.backends.backend import Array


def tensor_of(array: Array) -> torch.Tensor:
    """Return a tensor over an array's memory; only what torch cannot view is copied."""
    array = arrays.plain(array)
    if array.flags.writeable:
        return torch.from_numpy(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # That it may be written to; we see to that.
        return torch.from_numpy(array)


def array_of(value: Any) -> Array:
    """Return a result as an array of the standard's types, over the same memory if it can be.

    Raises:
        InferenceFailed: it is of a type that guests have no name for.
    """
    import numpy as np

    if not isinstance(value, torch.Tensor):
        return arrays.standard(np.asarray(value))
    tensor = value.detach().resolve_conj().resolve_neg()
    if tensor.is_sparse or tensor.is_quantized or tensor.layout != torch.strided:
        raise InferenceFailed(f"the model returned a {tensor.layout} tensor of {tensor.dtype}")
    if tensor.dtype.is_floating_point and tensor.dtype not in _FLOATS:
        tensor = tensor.float()
    return arrays.standard(tensor.cpu().numpy())


_FLOATS = (torch.float16, torch.float32, torch.float64)


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the tensors and numbers of a result, each with a name, in this order.

    Tuples and lists by their positions, mappings (transformers' outputs among them) by their
    order, dataclasses by their fields; None is left out.

    Raises:
        InferenceFailed: there is something else in it.
    """
    if isinstance(value, (torch.Tensor, bool, int, float)):
        yield name or "0", value
        return
    for key, part in _parts(value):
        yield from flatten(part, f"{name}.{key}" if name else str(key))


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    if value is None:
        return iter(())
    if isinstance(value, Mapping):
        return iter(value.items())
    if isinstance(value, (tuple, list)):
        names = getattr(value, "_fields", range(len(value)))
        return iter(zip(names, value, strict=True))
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return ((field.name, getattr(value, field.name)) for field in fields)
    raise InferenceFailed(f"the model returned a {type(value).__name__}: tensors are wanted")


def results(value: Any) -> tuple[list[Array], tuple[Port, ...]]:
    """Return a result's arrays, and the ports that they show."""
    found = [(name, array_of(part)) for name, part in flatten(value)]
    ports = tuple(Port(name, arrays.dtype_of(array)) for name, array in found)
    if not arrays.is_tellable(ports):
        raise InferenceFailed(f"the model returned {len(ports)} tensors, which are too many")
    return [array for _, array in found], ports
