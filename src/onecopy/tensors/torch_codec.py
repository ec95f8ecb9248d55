"""torch tensors: dense ones as views of shared storages, sparse ones by their components.

The meta of a dense tensor is `[dtype, shape]` or `[dtype, shape, strides or None, flags]`;
that of a sparse one `[layout, shape, flags, coalesced, component, …]` with the metas of its
components.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch

from onecopy.errors import CorruptEntry, UnsupportedValue
from onecopy.tensors.codec import Compact, Leaf, Memory, Meta, Segment
from onecopy.tensors.torch_dtypes import DTYPES, NAMES, seen_by_others

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from onecopy.segments.mapping import Mapping

_PARAMETER: Final = 1
_REQUIRES_GRAD: Final = 2

# Layouts of sparse tensors, and the methods that give their components.
_COMPONENTS: Final[dict[Any, tuple[str, ...]]] = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}
_LAYOUTS: Final = {str(layout).rpartition("_")[2]: layout for layout in _COMPONENTS}
_STORABLE: Final = frozenset({torch.strided, *_COMPONENTS})


class Padded(NamedTuple):
    """A contiguous tensor of which only the first `width` columns are the value; all is stored."""

    tensor: Any
    width: int


class TorchCodec:
    """Stores `torch.Tensor` and `torch.nn.Parameter` on the CPU."""

    name = "torch"
    types = (
        *("torch.Tensor", "torch.nn.parameter.Parameter"),
        "onecopy.tensors.torch_codec.Padded",
    )

    def encode(self, value: Any) -> Leaf:
        """Describe a tensor; strides are kept, also for views that share memory."""
        kind = type(value)
        if kind is Padded:
            return _encode_padded(value)
        _refuse_unstorable(value, kind)
        flags = 0
        if value.requires_grad:
            flags = _REQUIRES_GRAD * value.is_leaf
            value = value.detach()
        if kind is torch.nn.Parameter:
            flags |= _PARAMETER
        if value.layout is not torch.strided:
            return _encode_sparse(value, flags)
        if value.is_conj() or value.is_neg():
            value = value.resolve_conj().resolve_neg()
        return _encode_dense(value, flags)

    def decode(self, meta: Meta, places: Sequence[int], segment: Segment) -> Any:
        """Rebuild a tensor; those that share a block share one torch storage."""
        if len(meta) == 2:
            return _decode_dense(meta, places, segment)
        if meta[0] in _LAYOUTS:
            tensor, flags = _decode_sparse(meta, iter(places), segment), meta[2]
        else:
            tensor, flags = _decode_dense(meta, places, segment), meta[3]
        if not flags:
            return tensor
        requires_grad = bool(flags & _REQUIRES_GRAD)
        if flags & _PARAMETER:
            return torch.nn.Parameter(tensor, requires_grad)
        # The tensor may be what others over its block are made from: leave it without history.
        return tensor.detach().requires_grad_(requires_grad)

    def builder(
        self, meta: Meta, places: Sequence[int], blocks: list[tuple[int, int]]
    ) -> Callable[[Mapping], Any] | None:
        """Return a quicker `decode` for a contiguous tensor that fills its block, else None.

        `blocks` has offsets in the mapping. For whatever is odd about the arguments, None
        leaves it to `decode` to say so.
        """
        simple = type(meta) is list and len(meta) == 2 and meta[0] in DTYPES
        if not simple or places != [0, 0] or len(blocks) != 1:
            return None
        (dtype, itemsize), shape = DTYPES[meta[0]], meta[1]
        start, nbytes = blocks[0]
        if not _fills(shape, nbytes, itemsize):
            return None
        count = nbytes // itemsize
        flat = partial(torch.frombuffer, dtype=dtype, count=count, offset=start)
        return flat if len(shape) == 1 else lambda mapping: flat(mapping).resize_(shape)


def _fills(shape: Any, nbytes: int, itemsize: int) -> bool:
    sizes = type(shape) is list and all(type(size) is int and size > 0 for size in shape)
    return sizes and math.prod(shape) * itemsize == nbytes


def _refuse_unstorable(value: Any, kind: type) -> None:
    if kind is not torch.Tensor and kind is not torch.nn.Parameter:
        raise UnsupportedValue(
            f"tensors of the subclass {kind.__qualname__} cannot be stored; save the "
            "plain tensors it is made of, or register a codec for it (docs/codecs.md)"
        )
    if not value.is_cpu:
        raise UnsupportedValue(_REMEDIES.get(value.device.type, _NOT_YET).format(value.device))
    if value.layout not in _STORABLE or value.is_quantized or value.is_nested:
        raise UnsupportedValue(
            "quantized, nested and mkldnn tensors cannot be stored; save their parts instead"
        )
    if value.dtype not in NAMES:
        raise UnsupportedValue(f"tensors of {value.dtype} cannot be stored; view them as uint8")


_NOT_YET: Final = "tensors on {} cannot be stored yet; save `tensor.cpu()`"
_REMEDIES: Final = {"meta": "a tensor on the {} device has no data; materialize it first"}


def _encode_dense(value: Any, flags: int) -> Leaf:
    name, shape, nbytes = NAMES[value.dtype], list(value.shape), value.nbytes
    itemsize = DTYPES[name][1]
    plain = _meta(name, shape, None, flags)
    if value.is_contiguous() or nbytes == 0:
        label, seen = seen_by_others(name, shape)
        return Leaf(plain, (Memory(value.data_ptr(), nbytes, value, itemsize, label, seen),))
    strides = list(value.stride())
    extent = _span(shape, strides) * itemsize
    memory = Memory(value.data_ptr(), extent, value, itemsize)
    if extent > nbytes:
        label, seen = seen_by_others(name, shape)
        compact = Compact(plain, nbytes, lambda buffer: _gather(value, buffer))
        memory = memory._replace(dtype=label, shape=seen, compact=compact)
    return Leaf(_meta(name, shape, strides, flags), [memory])


def _encode_padded(value: Padded) -> Leaf:
    tensor, width = value
    name, itemsize = NAMES[tensor.dtype], tensor.element_size()
    label, seen = seen_by_others(name, list(tensor.shape))
    memory = Memory(tensor.data_ptr(), tensor.nbytes, tensor, itemsize, label, seen)
    shape = [*tensor.shape[:-1], width]
    return Leaf(_meta(name, shape, list(tensor.stride()), 0), [memory])


def _meta(name: str, shape: list[int], strides: list[int] | None, flags: int) -> Meta:
    return [name, shape, strides, flags] if strides is not None or flags else [name, shape]


def _span(shape: list[int], strides: Any) -> int:
    """Return the number of elements from the first one of a strided view to its last."""
    spans: list[int] = [(n - 1) * stride for n, stride in zip(shape, strides, strict=True)]
    return 1 + sum(spans)


def _gather(value: Any, buffer: memoryview) -> None:
    flat = torch.frombuffer(buffer, dtype=torch.uint8)
    flat.view(value.dtype).view(value.shape).copy_(value)


def _decode_dense(meta: Meta, places: Sequence[int], segment: Segment) -> Any:
    name, shape = meta[0], meta[1]
    if name not in DTYPES:
        raise CorruptEntry(f"torch {torch.__version__} has no dtype {name!r}; upgrade torch")
    dtype, itemsize = DTYPES[name]
    if not places:
        return _empty(shape, dtype)
    block, offset = places
    if block not in segment.bases:
        start, nbytes = segment.blocks[block]
        start += segment.start
        alone = math.prod(shape) * itemsize == nbytes and offset == 0
        contiguous = len(meta) == 2 or meta[2] is None
        if contiguous and alone and start % itemsize == 0:
            # Nearly all tensors have a block for themselves. resize_ gives the shape at less
            # cost than a view, and the result is no view of another tensor.
            count = nbytes // itemsize
            flat = torch.frombuffer(segment.mapping, dtype=dtype, count=count, offset=start)
            segment.bases[block] = tensor = flat if len(shape) == 1 else flat.resize_(shape)
            return tensor
        segment.bases[block] = torch.frombuffer(
            segment.mapping, dtype=torch.uint8, count=nbytes, offset=start
        )
    strides = meta[2] if len(meta) > 2 else None
    return _view(segment.bases[block], offset, dtype, shape, strides or _contiguous(shape))


def _empty(shape: list[int], dtype: Any) -> Any:
    if math.prod(shape):
        raise CorruptEntry(f"a tensor of shape {shape} has no bytes")
    return torch.empty(shape, dtype=dtype)


def _view(base: Any, offset: int, dtype: Any, shape: list[int], strides: list[int]) -> Any:
    """Return a tensor over the storage of `base`, which is all of a block."""
    first, misaligned = divmod(offset, dtype.itemsize)
    # Compiled code relies on alignment: torch crashes on a complex128 at an odd address.
    misaligned = misaligned or base.data_ptr() % dtype.itemsize
    if misaligned or min(strides, default=0) < 0:
        raise CorruptEntry(f"a {dtype} tensor begins at byte {offset}, with strides {strides}")
    if base.dtype != dtype:
        flat = base.detach().reshape(-1).view(torch.uint8)
        base = flat[: len(flat) // dtype.itemsize * dtype.itemsize].view(dtype)
    return base.as_strided(shape, strides, first)


def _contiguous(shape: list[int]) -> list[int]:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.append(strides[-1] * size)
    return strides[::-1] if shape else []


def _encode_sparse(value: Any, flags: int) -> Leaf:
    layout = str(value.layout).rpartition("_")[2]
    coalesced = value.is_coalesced() if layout == "coo" else None
    meta = [layout, list(value.shape), flags, coalesced]
    memory: list[Memory] = []
    for component in _COMPONENTS[value.layout]:
        part = _encode_dense(getattr(value, component)().detach().contiguous(), 0)
        meta.append(part.meta)
        memory += part.memory
    return Leaf(meta, memory)


def _decode_sparse(meta: Meta, places: Iterator[int], segment: Segment) -> Any:
    layout, shape, _, coalesced, *components = meta
    if any(len(component) != 2 for component in components):
        # Checking an index tensor that repeats one element 2⁴⁰ times would take for ever.
        raise CorruptEntry("a component of a sparse tensor is not contiguous")
    # A component without elements has no place.
    tensors = [
        _decode_dense(each, list(islice(places, 2 if math.prod(each[1]) else 0)), segment)
        for each in components
    ]
    # The components come from outside: indices that point elsewhere would be followed.
    if layout == "coo":
        return torch.sparse_coo_tensor(
            *tensors, size=shape, is_coalesced=coalesced, check_invariants=True
        )
    return torch.sparse_compressed_tensor(
        *tensors, size=shape, layout=_LAYOUTS[layout], check_invariants=True
    )


codec = TorchCodec()
