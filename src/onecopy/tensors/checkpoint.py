"""safetensors files as values, mapped rather than read."""

from __future__ import annotations

import math
import os
import stat
from typing import TYPE_CHECKING, Any, Final

from onecopy.errors import CorruptEntry, InvalidArgument, UnsupportedValue
from onecopy.segments import container
from onecopy.segments.mapping import map_fd
from onecopy.tensors import codec as codecs
from onecopy.tensors import spec as specs

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from onecopy.segments.container import Header, TensorInfo
    from onecopy.segments.mapping import Mapping, Mode

# What safetensors calls a dtype, and what torch does. float4 packs two elements into a byte;
# torch has nothing for the six-bit ones.
DTYPES: Final[dict[str, str]] = {
    "BOOL": "bool",
    **{
        f"{code}{bits}": f"{name}{bits}"
        for code, name in (("U", "uint"), ("I", "int"))
        for bits in (8, 16, 32, 64)
    },
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    "BF16": "bfloat16",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F4": "float4_e2m1fn_x2",
}


def open_safetensors(path: str | Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file without reading them.

    They are views of a private map of the file: what is written to them stays in this process,
    and the map goes with the last of them. The file must keep its length meanwhile, or touching
    what was cut off is a bus error. A file whose header is not padded gives tensors at odd
    addresses. Padding that onecopy wrote is left out.

    Raises:
        CorruptEntry: it is not a safetensors file.
        UnsupportedValue: torch has no dtype for one of its tensors.
    """
    mapping, header = _map(path)
    return _tensors(mapping, header, path)


def open_value(path: str | Path, mode: Mode = "private") -> Any:
    """Return the value that an entry's file holds, whatever it was saved from.

    Other safetensors files are opened as `open_safetensors` does.
    """
    mapping, header = _map(path, mode)
    spec = header.tensors.get(container.SPEC_NAME)
    if spec is None or "onecopy" not in header.metadata:
        return _tensors(mapping, header, path)
    from onecopy.tensors.values import unpack

    start, end = spec.data_offsets
    try:
        layout = specs.decode(mapping.view(header.data_start + start, end - start), start)
        return unpack(mapping, header.data_start, layout, mode)
    except CorruptEntry as error:
        raise CorruptEntry(f"{path}: {error}") from error


def _map(path: str | Path, mode: Mode = "private") -> tuple[Mapping, Header]:
    # NONBLOCK, for opening a FIFO would wait for its writer.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidArgument(f"{path} is not a file that can be mapped; copy it into one")
        if status.st_size < 8:
            raise CorruptEntry(f"{path} is not a safetensors file: it has no header")
        mapping = map_fd(fd, status.st_size, mode)
    finally:
        os.close(fd)
    try:
        return mapping, container.parse_header(mapping.view())
    except CorruptEntry as error:
        raise CorruptEntry(f"{path}: {error}") from error


def _tensors(mapping: Mapping, header: Header, path: str | Path) -> dict[str, torch.Tensor]:
    codecs.find("torch")  # If torch is not there, this says what to install.
    return {
        name: _tensor(mapping, header.data_start, info, f"{path}: tensor {name!r}")
        for name, info in header.tensors.items()
        if not name.startswith(container.RESERVED)
    }


def _tensor(mapping: Mapping, data_start: int, info: TensorInfo, where: str) -> torch.Tensor:
    import torch

    dtype = getattr(torch, DTYPES.get(info.dtype, ""), None)
    if dtype is None:
        raise UnsupportedValue(f"{where}: torch {torch.__version__} has no dtype for {info.dtype}")
    try:
        shape = torch_shape(info)
        count = math.prod(shape)
        if count == 0:
            return torch.empty(shape, dtype=dtype)
        offset = data_start + info.data_offsets[0]
        flat = torch.frombuffer(mapping, dtype=dtype, count=count, offset=offset)
        return flat.view(shape)
    except (RuntimeError, TypeError, ValueError, OverflowError) as error:
        raise CorruptEntry(f"{where} has an impossible shape: {error}") from error


def torch_shape(info: TensorInfo) -> tuple[int, ...]:
    """Return the shape as torch counts: elements of four bits are packed in pairs."""
    if info.dtype != "F4" or not info.shape:
        return info.shape
    pairs, odd = divmod(info.shape[-1], 2)
    if odd:
        raise ValueError("an odd number of four-bit elements in its last dimension")
    return (*info.shape[:-1], pairs)
