"""The header of a segment to be: what it calls each block, so that plain readers find tensors."""

from __future__ import annotations

from typing import Final

from onecopy.segments import container
from onecopy.segments.container import Label

# Streams of values of one form are common: their headers are kept.
_headers: dict[tuple[object, ...], bytes] = {}
_HEADERS_LIMIT: Final = 256
_FEW: Final = 4


def kept_header(
    placed: list[tuple[Label, int, int]], empty: list[Label], spec_nbytes: int, align: int
) -> bytes:
    """Return what `new_header` does, made once for few blocks of one form."""
    if len(placed) > _FEW or empty:
        return new_header(placed, empty, spec_nbytes, align)
    key = (spec_nbytes, align, *placed)
    header = _headers.get(key)
    if header is None:
        if len(_headers) >= _HEADERS_LIMIT:
            _headers.clear()
        header = _headers[key] = new_header(placed, empty, spec_nbytes, align)
    return header


def new_header(
    placed: list[tuple[Label, int, int]],
    empty: list[Label],
    spec_nbytes: int,
    align: int,
    room: int = 0,
) -> bytes:
    """Return the header of a segment.

    Args:
        placed: label, offset and size of each block.
        empty: labels of tensors without bytes.
        spec_nbytes: of the packed spec behind the blocks.
        align: of the blocks, in bytes.
        room: how long it has to be, if that is given; longer if that is not enough.
    """
    # Empty tensors have no bytes and no block, but a plain reader expects to find them.
    everything = [(label, 0, 0) for label in empty] + placed
    labels = _unique([label for label, _, _ in everything])
    offsets = [offset for _, offset, _ in everything]
    sizes = [size for _, _, size in everything]
    blocks = zip(labels, offsets, sizes, strict=True)
    return container.build_header(blocks, spec_nbytes, align, room)


def _unique(labels: list[Label]) -> list[Label]:
    """Rename what would clash with another block or with a name that the format reserves."""
    taken: set[str] = set()
    result = []
    for label in labels:
        name = label.name
        if name.startswith(container.RESERVED) or name == container.METADATA:
            name = f"value.{name}"
        stem, count = name, 1
        while name in taken:
            count += 1
            name = f"{stem}#{count}"
        taken.add(name)
        result.append(Label(name, label.dtype, label.shape))
    return result
