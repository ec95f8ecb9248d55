"""Saving what lies in an arena already: the arena is the entry's segment, and nothing is copied.

What a value has outside, a counter made before the block for instance, is copied into the arena
beside the rest, as long as the greater part is there.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from onecopy.forks import filling
from onecopy.segments import region
from onecopy.segments.mapping import copy_memory
from onecopy.store import messages
from onecopy.tensors import arena as arenas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.store.channel import Channel
    from onecopy.store.saving import Options
    from onecopy.tensors.arena import Arena
    from onecopy.tensors.values import Packed

    _Piece = tuple[int, int]  # address and number of bytes


class Placed(NamedTuple):
    """Where in an arena the blocks of a value lie."""

    arena: Arena
    offsets: list[int]
    copies: list[object]
    """Holds what was copied into the arena until it is frozen there."""

    def extents(self, sizes: Sequence[int]) -> list[tuple[int, int]]:
        """Return the offset and size of every block."""
        return list(zip(self.offsets, sizes, strict=True))


def place(packed: Packed, align: int) -> Placed | None:
    """Return where a value lies in an arena, or None if it has to be copied."""
    if not arenas.any_alive():
        return None
    pieces = packed.pieces()
    if pieces is None:
        return None
    return _place_whole(pieces, align) or _place_parts(pieces, align)


def _place_whole(pieces: Sequence[_Piece], align: int) -> Placed | None:
    """Ask once for all: nearly always all memory from the first byte to the last is clean."""
    start = min(address for address, _ in pieces)
    end = max(address + nbytes for address, nbytes in pieces)
    at = arenas.locate(start, end - start)
    if at is None:
        return None
    arena, first = at
    offsets = [address - start + first for address, _ in pieces]
    if any(offset % align for offset in offsets):
        return None
    return Placed(arena, offsets, [])


def _place_parts(pieces: Sequence[_Piece], align: int) -> Placed | None:
    found = [arenas.locate(*piece) for piece in pieces]
    # A block that starts off its alignment is as good as outside.
    found = [at if at is not None and at[1] % align == 0 else None for at in found]
    arena = _home(found, pieces)
    return None if arena is None else _complete(arena, found, pieces, align)


def _home(found: Sequence[tuple[Arena, int] | None], pieces: Sequence[_Piece]) -> Arena | None:
    """Return the arena that holds more than half of all bytes."""
    held: dict[Arena, int] = {}
    for at, (_, nbytes) in zip(found, pieces, strict=True):
        if at is not None:
            held[at[0]] = held.get(at[0], 0) + nbytes
    best = max(held, key=lambda arena: held[arena], default=None)
    if best is None or held[best] * 2 <= sum(nbytes for _, nbytes in pieces):
        return None
    return best


def _complete(
    arena: Arena,
    found: Sequence[tuple[Arena, int] | None],
    pieces: Sequence[_Piece],
    align: int,
) -> Placed | None:
    """Copy what is not in `arena` into it; None if it has no room."""
    offsets: list[int] = []
    copies: list[object] = []
    for at, (address, nbytes) in zip(found, pieces, strict=True):
        if at is None or at[0] is not arena:
            block = arena.take(nbytes)
            at = arenas.locate(block.data_ptr(), nbytes)
            if at is None or at[0] is not arena or at[1] % align:
                return None
            copy_memory(block.data_ptr(), address, nbytes)
            copies.append(block)
        offsets.append(at[1])
    return Placed(arena, offsets, copies)


def save_placed(
    channel: Channel, placed: Placed, packed: Packed, options: Options, room: int
) -> bool:
    """Freeze what lies in the arena, and hand it over; False if it has to be copied after all.

    Frozen first, then published: what the saver writes later stays its own (I4). `room` is what the
    index has for the entry's spec.
    """
    arena = placed.arena
    channel.send(messages.Reserve(options.name, packed.nbytes, options.overwrite))
    # While the daemon makes room:
    spec = packed.spec_at(placed.offsets)
    message = _describe(placed, packed, options, len(spec))
    channel.answer()
    channel.idle = False  # If anything fails, the channel is closed, and the room is free.
    if not arena.freeze(placed.extents(packed.sizes)):
        return False
    try:
        if len(spec) > room:
            _hand_over_both(channel, message, arena.fd, spec)
        else:
            channel.request(msgspec.structs.replace(message, spec=spec), (arena.fd,))
    finally:
        arena.tidy()  # Only now: the daemon needs a core too.
    return True


def _describe(placed: Placed, packed: Packed, options: Options, spec_nbytes: int) -> messages.Save:
    return messages.Save(
        name=options.name,
        size=placed.arena.nbytes,
        data_start=0,
        spec_offset=max(sum(extent) for extent in placed.extents(packed.sizes)),
        spec_nbytes=spec_nbytes,
        nbytes=packed.nbytes,
        spec=b"",
        overwrite=options.overwrite,
        pin=options.pin,
        ttl=options.ttl,
        reserved=True,
        kind=region.ARENA,
        apart=True,
    )


def _hand_over_both(channel: Channel, message: messages.Save, fd: int, spec: bytes) -> None:
    apart = region.create("onecopy-spec")
    filling.add(apart)
    try:
        region.write(apart, [spec])
        region.seal(apart)
        channel.request(message, (fd, apart))
    finally:
        filling.discard(apart)
        os.close(apart)
