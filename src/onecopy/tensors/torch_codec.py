"""torch tensors: dense ones as views of shared storages, sparse ones by their components.

The meta of a dense tensor is `[dtype, shape, strides or None, flags]`; that of a sparse one
`[layout, shape, flags, coalesced, component, …]` with the metas of its components.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import torch

from onecopy.errors import CorruptEntry, UnsupportedValue
from onecopy.tensors.codec import Compact, Leaf, Memory, Meta, Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PARAMETER: Final = 1
_REQUIRES_GRAD: Final = 2

# torch's name of a dtype, and how safetensors calls it: a name, and what a foreign reader finds
# in an extra last dimension (complex numbers as pairs). float4 packs two elements a byte.
_LABELS: Final[dict[str, tuple[str, int]]] = {
    "bool": ("BOOL", 1),
    "uint8": ("U8", 1),
    "int8": ("I8", 1),
    "uint16": ("U16", 1),
    "int16": ("I16", 1),
    "uint32": ("U32", 1),
    "int32": ("I32", 1),
    "uint64": ("U64", 1),
    "int64": ("I64", 1),
    "float16": ("F16", 1),
    "bfloat16": ("BF16", 1),
    "float32": ("F32", 1),
    "float64": ("F64", 1),
    "complex32": ("F16", 2),
    "complex64": ("C64", 1),
    "complex128": ("F64", 2),
    "float8_e4m3fn": ("F8_E4M3", 1),
    "float8_e5m2": ("F8_E5M2", 1),
    "float8_e8m0fnu": ("F8_E8M0", 1),
    "float8_e4m3fnuz": ("F8_E4M3FNUZ", 1),
    "float8_e5m2fnuz": ("F8_E5M2FNUZ", 1),
    "float4_e2m1fn_x2": ("F4", 2),
}
_DTYPES: Final[dict[str, Any]] = {
    name: getattr(torch, name) for name in _LABELS if hasattr(torch, name)
}
_NAMES: Final = {dtype: name for name, dtype in _DTYPES.items()}

# Layouts of sparse tensors, and the methods that give their components.
_COMPONENTS: Final[dict[Any, tuple[str, ...]]] = {
    torch.sparse_coo: ("_indices", "_values"),
    torch.sparse_csr: ("crow_indices", "col_indices", "values"),
    torch.sparse_csc: ("ccol_indices", "row_indices", "values"),
    torch.sparse_bsr: ("crow_indices", "col_indices", "values"),
    torch.sparse_bsc: ("ccol_indices", "row_indices", "values"),
}
_LAYOUTS: Final = {str(layout).rpartition("_")[2]: layout for layout in _COMPONENTS}


class TorchCodec:
    """Stores `torch.Tensor` and `torch.nn.Parameter` on the CPU."""

    name = "torch"
    types = ("torch.Tensor", "torch.nn.parameter.Parameter")

    def encode(self, value: Any) -> Leaf:
        """Describe a tensor; strides are kept, also for views that share memory."""
        _refuse_unstorable(value)
        flags = _PARAMETER * isinstance(value, torch.nn.Parameter)
        flags |= _REQUIRES_GRAD * (value.requires_grad and value.is_leaf)
        value = value.detach()
        if value.layout in _COMPONENTS:
            return _encode_sparse(value, flags)
        return _encode_dense(value.resolve_conj().resolve_neg(), flags)

    def decode(self, meta: Meta, parts: Sequence[Part]) -> Any:
        """Rebuild a tensor; those that share a block share one torch storage."""
        remaining = iter(parts)
        if meta[0] in _LAYOUTS:
            tensor, flags = _decode_sparse(meta, remaining), meta[2]
        else:
            tensor, flags = _decode_dense(meta, remaining), meta[3]
        if not flags:
            return tensor
        requires_grad = bool(flags & _REQUIRES_GRAD)
        if flags & _PARAMETER:
            return torch.nn.Parameter(tensor, requires_grad)
        return tensor.requires_grad_(requires_grad)


def _refuse_unstorable(value: Any) -> None:
    if type(value) not in (torch.Tensor, torch.nn.Parameter):
        raise UnsupportedValue(
            f"tensors of the subclass {type(value).__qualname__} cannot be stored; save the "
            "plain tensors it is made of, or register a codec for it (docs/codecs.md)"
        )
    if value.device.type != "cpu":
        raise UnsupportedValue(_REMEDIES.get(value.device.type, _NOT_YET).format(value.device))
    if value.layout not in (torch.strided, *_COMPONENTS) or value.is_quantized or value.is_nested:
        raise UnsupportedValue(
            "quantized, nested and mkldnn tensors cannot be stored; save their parts instead"
        )
    if value.dtype not in _NAMES:
        raise UnsupportedValue(f"tensors of {value.dtype} cannot be stored; view them as uint8")


_NOT_YET: Final = "tensors on {} cannot be stored yet; save `tensor.cpu()`"
_REMEDIES: Final = {"meta": "a tensor on the {} device has no data; materialize it first"}


def _encode_dense(value: Any, flags: int) -> Leaf:
    name, shape, itemsize = _NAMES[value.dtype], list(value.shape), value.element_size()
    if value.numel() == 0:
        return Leaf([name, shape, None, flags])
    contiguous = value.is_contiguous()
    strides = None if contiguous else list(value.stride())
    meta = [name, shape, strides, flags]
    nbytes = value.numel() * itemsize
    extent = nbytes if contiguous else _span(shape, strides) * itemsize
    plain = Compact([name, shape, None, flags], nbytes, lambda buffer: _gather(value, buffer))
    compact = plain if extent > nbytes else None
    label, seen = _label(name, tuple(shape), contiguous or compact is not None)
    address = value.data_ptr()
    return Leaf(meta, [Memory(address, extent, value, itemsize, label, seen, compact)])


def _span(shape: list[int], strides: Any) -> int:
    """Return the number of elements from the first one of a strided view to its last."""
    return 1 + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))


def _label(
    name: str, shape: tuple[int, ...], contiguous: bool
) -> tuple[str, tuple[int, ...] | None]:
    label, pairs = _LABELS[name]
    if not contiguous:
        return label, None
    if pairs == 1:
        return label, shape
    if label == "F4":
        return label, (*shape[:-1], shape[-1] * 2) if shape else (2,)
    return label, (*shape, pairs)


def _gather(value: Any, buffer: memoryview) -> None:
    flat = torch.frombuffer(buffer, dtype=torch.uint8)
    flat.view(value.dtype).view(value.shape).copy_(value)


def _decode_dense(meta: Meta, parts: Iterator[Part]) -> Any:
    name, shape, strides, _ = meta
    dtype = _DTYPES.get(name)
    if dtype is None:
        raise CorruptEntry(f"torch {torch.__version__} has no dtype {name!r}; upgrade torch")
    numel = math.prod(shape)
    if numel == 0:
        return torch.empty(shape, dtype=dtype)
    block, offset = next(parts)
    first, misaligned = divmod(offset, dtype.itemsize)
    if misaligned:
        raise CorruptEntry(f"a {name} tensor begins at byte {offset} of its block")
    base = _base(block, dtype)
    if strides is not None or numel != base.numel():
        return base.as_strided(shape, strides or _contiguous(shape), first)
    return base.view(shape)


def _base(block: Any, dtype: Any) -> Any:
    """Return the whole block as a flat tensor; all of its tensors share one storage."""
    count = block.nbytes // dtype.itemsize
    if block.base is None:
        if count * dtype.itemsize == block.nbytes:
            base = torch.frombuffer(block.mapping, dtype=dtype, count=count, offset=block.offset)
            block.base = base
            return base
        block.base = torch.frombuffer(
            block.mapping, dtype=torch.uint8, count=block.nbytes, offset=block.offset
        )
    if block.base.dtype == dtype:
        return block.base
    return block.base.view(torch.uint8)[: count * dtype.itemsize].view(dtype)


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


def _decode_sparse(meta: Meta, parts: Iterator[Part]) -> Any:
    layout, shape, _, coalesced, *components = meta
    tensors = [_decode_dense(component, parts) for component in components]
    # The components come from outside: indices that point elsewhere would be followed.
    if layout == "coo":
        return torch.sparse_coo_tensor(
            *tensors, size=shape, is_coalesced=coalesced, check_invariants=True
        )
    return torch.sparse_compressed_tensor(
        *tensors, size=shape, layout=_LAYOUTS[layout], check_invariants=True
    )


codec = TorchCodec()
