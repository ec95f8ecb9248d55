"""Saving an output of a planned module: the memfd in which it lies becomes the entry's segment.

Such a memfd has room for the header in front (`planner.bind` with `store=`), so that nothing is
copied. What else a value has, smaller outputs of the same run for instance, is copied behind it,
as long as the greater part is there.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from onecopy.forks import filling
from onecopy.native import outputs as native
from onecopy.segments import region
from onecopy.segments.mapping import memory_at
from onecopy.store import messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from onecopy.store.channel import Channel
    from onecopy.tensors.values import Packed

    _Piece = tuple[int, int]  # address and number of bytes


class Placed(NamedTuple):
    """A value of which the greatest block is an output in a memfd."""

    address: int
    """Of that block."""
    offsets: list[int]
    """Of all blocks in the memfd, those that are yet to be copied there too."""


def place(packed: Packed, align: int) -> Placed | None:
    """Lay a value out around the output that it has; None if it is to be saved in another way."""
    if not native.made:
        return None
    pieces = packed.pieces()
    if pieces is None:
        return None
    home = max(range(len(pieces)), key=lambda index: pieces[index][1])
    address, nbytes = pieces[home]
    # A part of an output is copied: the rest is nothing that others should hold or see.
    if align > region.PAGE or native.nbytes_at(address) != nbytes:
        return None
    if nbytes * 2 <= sum(each for _, each in pieces):
        return None
    offsets = _offsets(pieces, home, align)
    if not packed.lay_out_at(offsets, region.PAGE):
        return None
    return Placed(address, offsets)


def _offsets(pieces: Sequence[_Piece], home: int, align: int) -> list[int]:
    """Return where in the memfd each block goes: those to be copied behind the output."""
    offsets = []
    end = region.PAGE + pieces[home][1]
    for index, (_, nbytes) in enumerate(pieces):
        if index == home:
            offsets.append(region.PAGE)
            continue
        offsets.append(-(-end // align) * align)
        end = offsets[-1] + nbytes
    return offsets


def save_placed(channel: Channel, message: messages.Save, placed: Placed, packed: Packed) -> bool:
    """Take the memfd, complete it, and hand it over; False if the value has to be copied.

    What the saver writes later stays its own (I4): taking it made the output a private view.
    """
    if message.reserved:
        channel.request(messages.Reserve(message.name, message.size, message.overwrite))
    channel.idle = False  # If anything fails, the channel is closed, and the room is free.
    fd = native.detach(placed.address)
    if fd is None:
        return False
    filling.add(fd)
    try:
        if not _complete(fd, placed, packed):
            return False
        channel.hand_over(message, fd)
    finally:
        filling.discard(fd)
        os.close(fd)
    return True


def _complete(fd: int, placed: Placed, packed: Packed) -> bool:
    region.write(fd, [packed.header])
    for offset, (address, nbytes) in zip(placed.offsets, packed.pieces() or (), strict=True):
        if address != placed.address:
            region.write(fd, [memory_at(address, nbytes)], offset)
    region.write(fd, [packed.spec], packed.spec_offset)
    os.ftruncate(fd, packed.size)
    try:
        region.seal(fd)
    except OSError as error:
        # A child that was forked at this moment shares it still.
        if error.errno == errno.EBUSY:
            return False
        raise
    return True
