"""Saving a value: laid out, made a segment, handed over. There are four ways to a segment.

A new memfd is filled and sealed (here); what lies in an arena stays there (`arenas`), as does an
output of a planned run in its own memfd (`outputs`); a store in a directory gets a file (`filing`).
Whatever fails on the way, the store is as it was.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from onecopy.errors import InvalidArgument
from onecopy.forks import filling
from onecopy.segments import region, trailer
from onecopy.store import arenas, filing, messages, outputs
from onecopy.store.index.slot import spec_room
from onecopy.store.names import check_name
from onecopy.tensors.values import Packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from onecopy.store.channel import Channel
    from onecopy.store.session import Session

    Progress = Callable[[int], None] | None

# A save reserves room before it fills a segment larger than this.
_RESERVE_ABOVE: Final = 1 << 20


class Options(NamedTuple):
    """How an entry is to be saved; `Store.save` says what each means."""

    name: str
    ttl: float | None
    mutable: bool
    overwrite: bool
    pin: bool
    align: int


def prepare(
    value: Any, options: Options, session: Session, progress: Progress
) -> Callable[[Channel], object]:
    """Lay a value out, and return what saves it over a channel: the same however often."""
    key = check_name(options.name)
    check_ttl(options.ttl)
    packed = Packed(value, options.align, lay_out=False)
    if session.arenas and not options.mutable:
        placed = arenas.place(packed, options.align)
        if placed is not None:
            return partial(_save_placed, placed=placed, packed=packed, options=options, key=key)
    if not (session.directory or options.mutable):
        output = outputs.place(packed, options.align)
        if output is not None:
            return partial(_save_output, output=output, packed=packed, options=options, key=key)
    packed.lay_out()
    if session.directory:
        packed.as_file(trailer.nbytes_for(key), options.align)
        message = _describe(packed, options, key, region.FILE)
        return partial(filing.save_file, message=message, packed=packed, progress=progress)
    message = _describe(packed, options, key, region.SEALED)
    return partial(save_segment, message=message, packed=packed, progress=progress)


def check_ttl(ttl: float | None) -> None:
    """Refuse what is no number; the daemon judges numbers."""
    if ttl is not None and not isinstance(ttl, (int, float)):
        raise InvalidArgument(f"ttl must be a number of seconds, not {ttl!r}")


def _save_placed(
    channel: Channel, placed: arenas.Placed, packed: Packed, options: Options, key: bytes
) -> None:
    if not arenas.save_placed(channel, placed, packed, options, spec_room(key)):
        # Somebody has frozen a part of it meanwhile, or this is a second try.
        packed.lay_out()
        save_segment(channel, _describe(packed, options, key, region.SEALED), packed, None)


def _save_output(
    channel: Channel, output: outputs.Placed, packed: Packed, options: Options, key: bytes
) -> None:
    packed.lay_out_at(output.offsets, region.PAGE)  # An earlier try may have laid it out otherwise.
    message = _describe(packed, options, key, region.SEALED)
    if not outputs.save_placed(channel, message, output, packed):
        # Somebody has published it meanwhile, or this is a second try.
        packed.lay_out()
        save_segment(channel, _describe(packed, options, key, region.SEALED), packed, None)


def _describe(packed: Packed, options: Options, key: bytes, kind: int) -> messages.Save:
    return messages.Save(
        name=options.name,
        size=packed.size,
        data_start=packed.data_start,
        spec_offset=packed.spec_offset,
        spec_nbytes=len(packed.spec),
        nbytes=packed.nbytes,
        spec=packed.spec if len(packed.spec) <= spec_room(key) else b"",
        mutable=options.mutable,
        overwrite=options.overwrite,
        pin=options.pin,
        ttl=options.ttl,
        reserved=kind == region.FILE or packed.size > _RESERVE_ABOVE,
        kind=kind,
    )


def save_segment(
    channel: Channel, message: messages.Save, packed: Packed, progress: Progress
) -> None:
    """Reserve, fill, seal and hand over a segment."""
    if message.reserved:
        channel.request(messages.Reserve(message.name, packed.size, message.overwrite))
        channel.idle = False  # If filling fails, the channel is closed, and the room is free.
    label = f"onecopy:{message.name[:60]}"
    fd = packed.segment(label, mutable=message.mutable)
    filled = fd is not None
    if fd is None:
        fd = region.create(label)
    filling.add(fd)
    try:
        if not filled:
            packed.write(fd, progress)
            region.seal(fd, mutable=message.mutable)
        channel.hand_over(message, fd)
    except BaseException:
        # Whatever went wrong, the room is given up by closing the channel.
        channel.idle = channel.idle and not message.reserved
        raise
    finally:
        filling.discard(fd)
        os.close(fd)
