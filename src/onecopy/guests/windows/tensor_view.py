"""What a window needs to know of a tensor, whatever library it is from."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.errors import WindowRefused
from onecopy.guests.wasm import control

if TYPE_CHECKING:
    from collections.abc import Sequence

# Formats of buffers, and how safetensors calls them on the machines that onecopy supports.
_FORMATS: Final = {
    **dict(zip("?efd", ("BOOL", "F16", "F32", "F64"), strict=True)),
    **dict(zip("BcHILQN", ("U8", "U8", "U16", "U32", "U64", "U64", "U64"), strict=True)),
    **dict(zip("bhilqn", ("I8", "I16", "I32", "I64", "I64", "I64"), strict=True)),
}


class TensorView(NamedTuple):
    """Strided elements in this process's memory."""

    address: int
    """Of the first element."""
    dtype: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In elements."""
    itemsize: int

    @property
    def nbytes(self) -> int:
        """From the first byte to the last; strides are not negative."""
        last = sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        return (last + 1) * self.itemsize

    @property
    def byte_strides(self) -> list[int]:
        """The strides in bytes."""
        return [self.itemsize * each for each in self.strides]


def view_of(value: Any) -> TensorView:
    """Return where a tensor, array or buffer lies and what it holds.

    Raises:
        WindowRefused: it is none, has no elements, or elements that guests have no name for.
    """
    address, dtype, shape, strides, itemsize = _facts(value)
    if dtype not in control.DTYPES:
        raise WindowRefused(
            f"a window cannot show {_name(value)}: guests have no such element type; view it as "
            "numbers of a plain type, or as uint8"
        )
    if 0 in shape:
        raise WindowRefused(f"a window needs at least one byte, and the shape is {list(shape)}")
    return TensorView(address, dtype, tuple(shape), _canonical(shape, strides), itemsize)


def _facts(value: Any) -> tuple[int, str | None, Sequence[int], Sequence[int], int]:
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    if torch is not None and isinstance(value, torch.Tensor):
        return _of_torch(value, torch)
    if numpy is not None and isinstance(value, numpy.ndarray):
        return _of_numpy(value)
    return _of_buffer(value)


def _of_torch(value: Any, torch: Any) -> tuple[int, str | None, Sequence[int], Sequence[int], int]:
    from onecopy.tensors.torch_dtypes import label

    if value.layout is not torch.strided or value.is_quantized or value.is_nested:
        raise WindowRefused("a window shows dense tensors; give one for each component of it")
    if not value.is_cpu:
        raise WindowRefused(
            f"the tensor is on {value.device}, and guests are on the CPU; give them `tensor.cpu()` "
            "with copy=True"
        )
    if value.is_conj() or value.is_neg():
        raise WindowRefused("the tensor is a lazy conjugate or negation; resolve it first")
    strides = value.stride()
    return value.data_ptr(), label(value.dtype), value.shape, strides, value.element_size()


def _of_numpy(value: Any) -> tuple[int, str | None, Sequence[int], Sequence[int], int]:
    from onecopy.tensors.numpy_codec import label

    itemsize = value.dtype.itemsize
    strides = [_whole(stride, itemsize) for stride in value.strides]
    address = value.__array_interface__["data"][0]
    return address, label(value.dtype), value.shape, strides, itemsize


def _of_buffer(value: Any) -> tuple[int, str | None, Sequence[int], Sequence[int], int]:
    from onecopy.tensors.buffer_codec import address_of

    try:
        view = memoryview(value)
    except TypeError:
        raise WindowRefused(
            f"a window shows a tensor, an array, a buffer or a reference to one, not "
            f"{_name(value)}; of a dict or list in a store take `guests.part(ref, key)`"
        ) from None
    shape = view.shape or ()
    strides = [_whole(stride, view.itemsize) for stride in view.strides or ()]
    return address_of(view), _FORMATS.get(view.format), shape, strides, view.itemsize


def _whole(stride: int, itemsize: int) -> int:
    if itemsize == 0 or stride % itemsize:
        raise WindowRefused("the strides are no multiples of the element; copy it into a new array")
    return stride // itemsize


def _canonical(shape: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Return strides that are as in a contiguous tensor wherever they do not matter."""
    result: list[int] = []
    inner = 1
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        result.append(stride if n > 1 else inner)
        inner = n * result[-1]
    return tuple(reversed(result))


def _name(value: Any) -> str:
    kind = type(value)
    dtype = getattr(value, "dtype", None)
    return f"{kind.__module__}.{kind.__qualname__}" + (f" of {dtype}" if dtype is not None else "")
