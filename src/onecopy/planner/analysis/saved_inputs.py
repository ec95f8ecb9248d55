"""The inputs of a plan's example in its file."""

from __future__ import annotations

import ctypes
import zlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from onecopy.errors import UnsupportedValue
from onecopy.planner.analysis.examples import Example
from onecopy.planner.analysis.formulas import formula, parsed

# A damaged file must not make us allocate without end.
_LARGEST_TENSOR: Final = 2**36


class SavedTensor(msgspec.Struct, frozen=True):
    """A tensor of the example: its bytes in the order of its strides, compressed; None on meta."""

    dtype: str
    shape: list[int]
    strides: list[int]
    data: bytes | None


class SavedInput(msgspec.Struct, frozen=True):
    """An input: a tensor, or a plain value; and the expressions of its sizes, by axis."""

    path: str
    tensor: SavedTensor | None
    value: bool | int | float | str | None
    sizes: list[tuple[int | None, Any]]


def saved_input(example: Example) -> SavedInput:
    """Return an input as the file has it.

    Raises:
        UnsupportedValue: it is neither a dense tensor nor a plain value.

    """
    value, sizes = example.value, [(a, formula(size)) for a, size in example.sizes.items()]
    if hasattr(value, "untyped_storage"):
        return SavedInput(example.path, _saved_tensor(example.path, value), None, sizes)
    if value is not None and not isinstance(value, bool | int | float | str):
        raise UnsupportedValue(
            f"the example of {example.path} is a {type(value).__name__}, which a plan's file "
            "cannot carry; pass tensors, numbers, strings or None"
        )
    return SavedInput(example.path, None, value, sizes)


def _saved_tensor(path: str, value: Any) -> SavedTensor:
    import torch

    name = str(value.dtype).removeprefix("torch.")
    if value.layout != torch.strided:
        raise UnsupportedValue(f"the example of {path} is sparse, which a plan's file cannot carry")
    if value.device.type == "meta":
        return SavedTensor(name, list(value.shape), list(value.stride()), None)
    order = sorted(range(value.dim()), key=lambda axis: -value.stride(axis))
    dense = value.detach().cpu().permute(order).contiguous()
    raw = ctypes.string_at(dense.data_ptr(), dense.nbytes) if dense.nbytes else b""
    return SavedTensor(name, list(value.shape), list(value.stride()), zlib.compress(raw, 1))


def example_of(saved: SavedInput, symbols: Mapping[str, Any]) -> Example:
    """Return what `saved_input` was called on."""
    value = saved.value if saved.tensor is None else _tensor(saved.tensor)
    return Example(saved.path, value, {axis: parsed(size, symbols) for axis, size in saved.sizes})


def _tensor(saved: SavedTensor) -> Any:
    import torch

    dtype = getattr(torch, saved.dtype)
    if not isinstance(dtype, torch.dtype) or len(saved.shape) != len(saved.strides):
        raise ValueError(f"{saved.dtype!r} is no dtype, or shape and strides differ in length")
    if saved.data is None:
        return torch.empty(saved.shape, dtype=dtype, device="meta")
    order = sorted(range(len(saved.shape)), key=lambda axis: -saved.strides[axis])
    shape = [saved.shape[axis] for axis in order]
    dense = torch.empty(0, dtype=dtype)
    expected = dense.itemsize
    for size in shape:
        expected *= size
    if not 0 <= expected <= _LARGEST_TENSOR:
        raise ValueError(f"a tensor of shape {saved.shape} is impossible here")
    raw = bytearray(zlib.decompressobj().decompress(saved.data, expected + 1))
    if len(raw) != expected:
        raise ValueError(f"a tensor of shape {saved.shape} has {len(raw)} bytes")
    dense = torch.frombuffer(raw, dtype=dtype) if raw else dense
    return dense.reshape(shape).permute([order.index(axis) for axis in range(len(order))])


def tree_text(tree: Any) -> str:
    """Return the tree of the containers in which the inputs are, as text."""
    from torch.utils import _pytree

    try:
        return _pytree.treespec_dumps(tree)  # type: ignore[no-any-return]
    except NotImplementedError as error:
        raise UnsupportedValue(
            f"the arguments are in a container that a plan's file cannot carry ({error}); pass "
            "lists, tuples and dicts"
        ) from error


def tree_of(text: str) -> Any:
    """Return what `tree_text` was called on."""
    from torch.utils import _pytree

    return _pytree.treespec_loads(text)
