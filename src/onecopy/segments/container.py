"""The bytes of an entry: a safetensors file (I5).

    8 bytes            little-endian length N of the header
    N bytes            JSON header, padded with spaces so that the data starts aligned
    data               one block after another, each aligned; the packed spec comes last

safetensors allows no holes, so each gap before a block is a u8 tensor of its own, and so is
the packed spec (`tensors.spec`), which knows what the header cannot say. docs/format.md has
the whole layout.
"""

from __future__ import annotations

import json
import math
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from onecopy.errors import CorruptEntry
from onecopy.segments.checksum import NO_DIGITS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

RESERVED: Final = "__onecopy"
SPEC_NAME: Final = f"{RESERVED}_spec__"
TRAILER_NAME: Final = f"{RESERVED}_entry__"
METADATA: Final = "__metadata__"
FORMAT: Final = "1"

_PAGE: Final = 4096

# safetensors refuses longer headers, and so do we.
_HEADER_LIMIT: Final = 100_000_000

# Bits of an element, by the dtype's name in the header.
BITS: Final[dict[str, int]] = {
    **dict.fromkeys(("F4",), 4),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8"), 8),
    **dict.fromkeys(("F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E5M2FNUZ", "F8_E4M3FNUZ"), 8),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 16),
    **dict.fromkeys(("U32", "I32", "F32"), 32),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 64),
}


class Label(msgspec.Struct, frozen=True):
    """How a block looks to a reader that knows only safetensors."""

    name: str
    dtype: str
    shape: tuple[int, ...]


class TensorInfo(msgspec.Struct, frozen=True):
    """One tensor of a header; the offsets count from the start of the data."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]

    def check(self, name: str) -> None:
        """Raise `CorruptEntry` unless dtype, shape and offsets agree."""
        start, end = self.data_offsets
        if self.dtype not in BITS:
            raise CorruptEntry(f"tensor {name!r} has dtype {self.dtype!r}, unknown here")
        if math.prod(size for size in self.shape if size) >= 2**63:
            raise CorruptEntry(f"tensor {name!r} has the impossible shape {list(self.shape)}")
        bits = math.prod(self.shape) * BITS[self.dtype]
        if min(self.shape, default=0) < 0 or bits != (end - start) * 8:
            raise CorruptEntry(
                f"tensor {name!r}: {self.dtype} of shape {list(self.shape)} does not fill "
                f"bytes {start} to {end}"
            )


class Header(msgspec.Struct, frozen=True):
    """A parsed header: tensors in the order of their bytes."""

    data_start: int
    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]


def place(sizes: Sequence[int], leads: Sequence[int], align: int) -> tuple[list[int], int]:
    """Put every block `lead` bytes behind an aligned offset; return the offsets and the end."""
    offsets = []
    end = 0
    for size, lead in zip(sizes, leads, strict=True):
        start = -(-end // align) * align + lead
        offsets.append(start)
        end = start + size
    return offsets, end


def spec_start(end: int, align: int) -> int:
    """Return where the spec goes when the blocks end at `end`.

    Tensors on pages of their own are mapped for others to write to: the spec must not come along.
    """
    return end if align < _PAGE else -(-end // _PAGE) * _PAGE


def build_header(
    placed: Iterable[tuple[Label, int, int]],
    spec: int,
    align: int,
    room: int = 0,
) -> bytes:
    """Return the header, its length included.

    `placed` are blocks in the order of their bytes: label, offset and size; `spec` bytes follow.
    Where a segment is there already, the header is to fill `room` bytes; it is longer if it needs
    more.
    """
    fields: dict[str, Any] = {METADATA: {"format": "pt", "onecopy": FORMAT}}
    end = 0
    for label, start, size in placed:
        _pad(fields, end, start)
        fields[label.name] = TensorInfo(label.dtype, label.shape, (start, start + size))
        end = start + size
    start = spec_start(end, align)
    _pad(fields, end, start)
    fields[SPEC_NAME] = _bytes_from(start, start + spec)
    return _text(fields, room or align)


def _pad(fields: dict[str, Any], end: int, start: int) -> None:
    if start > end:
        fields[f"{RESERVED}_pad_{end}__"] = _bytes_from(end, start)


def as_file(header: bytes, trailer: int, align: int) -> bytes:
    """Return the header of an entry's segment as its file needs it, its length included.

    It gets a place for the checksum, and `trailer` bytes follow the spec.
    Raises `CorruptEntry` for a header that is none of ours.
    """
    try:
        fields = msgspec.json.decode(header[8:], type=dict[str, msgspec.Raw])
        end = msgspec.json.decode(fields[SPEC_NAME], type=TensorInfo).data_offsets[1]
    except (msgspec.DecodeError, UnicodeDecodeError, KeyError) as error:
        raise CorruptEntry(f"its header was not written by onecopy ({error})") from None
    fields.pop(METADATA, None)
    return _text(
        {
            METADATA: {"format": "pt", "onecopy": FORMAT, "xxh3_64": NO_DIGITS},
            **fields,
            TRAILER_NAME: _bytes_from(end, end + trailer),
        },
        align,
    )


def _text(fields: dict[str, Any], align: int) -> bytes:
    text = msgspec.json.encode(fields)
    text += b" " * (-(8 + len(text)) % align)
    return len(text).to_bytes(8, "little") + text


def _bytes_from(start: int, end: int) -> TensorInfo:
    return TensorInfo("U8", (end - start,), (start, end))


def fill(header: bytes, blocks: Iterable[memoryview], offsets: Sequence[int]) -> list[Any]:
    """Return the buffers to write: the header, and every block behind its padding."""
    buffers: list[Any] = [header]
    end = 0
    for block, start in zip(blocks, offsets, strict=True):
        buffers += [bytes(start - end), block]
        end = start + len(block)
    return buffers


def parse_header(data: memoryview) -> Header:
    """Read the header of the safetensors file in `data`.

    Raises `CorruptEntry` unless the tensors fill the file without overlap or hole.
    """
    length = _check_length(data[:8], len(data))
    return _parse(bytes(data[8 : 8 + length]), len(data))


def read_header(fd: int, nbytes: int) -> Header:
    """Read the header of a safetensors file of `nbytes`, and nothing else of it."""
    length = _check_length(os.pread(fd, 8, 0), nbytes)
    return _parse(os.pread(fd, length, 8), nbytes)


def _check_length(head: bytes | memoryview, nbytes: int) -> int:
    length = int.from_bytes(head, "little")
    if len(head) < 8 or length > min(nbytes - 8, _HEADER_LIMIT):
        raise CorruptEntry(
            "not a safetensors file, or not all of one: its first 8 bytes name a header of "
            f"{length} bytes, and there are {nbytes} in all"
        )
    return length


def _parse(text: bytes, nbytes: int) -> Header:
    tensors, metadata = _parse_fields(text)
    start = 8 + len(text)
    _check_cover(tensors, nbytes - start)
    return Header(start, tensors, metadata)


def _parse_fields(text: bytes) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    try:
        fields = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
        raw = fields.pop(METADATA, None)
        metadata = {} if raw is None else msgspec.json.decode(raw, type=dict[str, str])
        tensors = {
            name: msgspec.json.decode(field, type=TensorInfo) for name, field in fields.items()
        }
        json.loads(text, object_pairs_hook=_check_unique)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptEntry(f"not a safetensors file: its header does not parse ({error})") from None
    return dict(sorted(tensors.items(), key=lambda item: item[1].data_offsets)), metadata


def _check_unique(pairs: list[tuple[str, object]]) -> None:
    """Refuse an object with a key twice: msgspec takes the last, others may take the first."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name occurs twice")


def _check_cover(tensors: dict[str, TensorInfo], nbytes: int) -> None:
    end = 0
    for name, info in tensors.items():
        info.check(name)
        if info.data_offsets[0] != end:
            raise CorruptEntry(f"tensor {name!r} starts at {info.data_offsets[0]}, not at {end}")
        end = info.data_offsets[1]
    if end != nbytes:
        raise CorruptEntry(f"the tensors fill {end} bytes, but the file has {nbytes} of data")
