"""The dtypes that can be stored: torch's names of them, and those of safetensors."""

from __future__ import annotations

from typing import Any, Final

import torch

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
DTYPES: Final[dict[str, tuple[Any, int]]] = {
    name: (getattr(torch, name), getattr(torch, name).itemsize)
    for name in _LABELS
    if hasattr(torch, name)
}
"""By torch's name, those that this torch has, and the bytes of an element."""

NAMES: Final = {dtype: name for name, (dtype, _) in DTYPES.items()}


def itemsize(name: str) -> int | None:
    """Return the bytes of an element of the dtype that torch calls `name`; None if it has none."""
    return DTYPES[name][1] if name in DTYPES else None


def label(dtype: Any) -> str | None:
    """Return what safetensors calls a dtype; None if it has no name for single elements of it."""
    name, pairs = _LABELS.get(NAMES.get(dtype, ""), ("", 0))
    return name if pairs == 1 else None


def seen_by_others(name: str, shape: list[int]) -> tuple[str, tuple[int, ...] | None]:
    """Return dtype and shape as a plain safetensors reader sees them."""
    label, pairs = _LABELS[name]
    if pairs == 1:
        return label, tuple(shape)
    if label == "F4":
        return label, (*shape[:-1], shape[-1] * 2) if shape else (2,)
    return label, (*shape, pairs)
