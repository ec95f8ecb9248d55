"""The packed spec: what a reader needs to rebuild a value from the blocks of its segment.

It is msgpack, an array `[version, blocks, tree]`. A short spec also travels in the index,
so that loading a tensor reads nothing of the segment itself. docs/format.md has the fields.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from onecopy.errors import CorruptEntry, UnsupportedValue

VERSION: Final = 1


class Spec(msgspec.Struct, array_like=True, frozen=True):
    """Blocks as (offset from the start of the data, bytes), and the tree over them."""

    version: int
    blocks: list[tuple[int, int]]
    tree: Any

    def check(self, room: int) -> None:
        """Raise `CorruptEntry` unless every block lies within `room` bytes of data."""
        if self.version != VERSION:
            raise CorruptEntry(
                f"the entry's spec has version {self.version}, and this onecopy reads {VERSION}; "
                "upgrade the older side"
            )
        for offset, nbytes in self.blocks:
            if offset < 0 or nbytes <= 0 or offset + nbytes > room:
                raise CorruptEntry(
                    f"a block claims bytes {offset} to {offset + nbytes}, outside the {room} "
                    "bytes of the entry"
                )


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Spec)


def encode(blocks: list[tuple[int, int]], tree: Any) -> bytes:
    """Pack a spec."""
    try:
        return _encoder.encode(Spec(VERSION, blocks, tree))
    except (UnicodeEncodeError, RecursionError, OverflowError) as error:
        raise UnsupportedValue(f"the value's plain parts cannot be stored: {error}") from error


def decode(packed: bytes | memoryview, room: int) -> Spec:
    """Unpack a spec and check its blocks against `room` bytes of data."""
    try:
        spec = _decoder.decode(packed)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise CorruptEntry(f"the entry's spec does not parse: {error}") from None
    spec.check(room)
    return spec
