"""The client's side of a save into a directory: fill a file, and see it onto the disk.

The order is what makes it safe: the bytes are on the disk before the file has a name, and the
name is before the save returns. The daemon gives the name, and never waits for a disk.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument
from onecopy.forks import filling
from onecopy.segments import files, region, trailer
from onecopy.segments.trailer import Trailer
from onecopy.store import messages, wire
from onecopy.store.channel import Disconnected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from onecopy.store.channel import Channel
    from onecopy.tensors.values import Packed


def save_file(
    channel: Channel,
    message: messages.Save,
    packed: Packed,
    progress: Callable[[int], object] | None,
) -> None:
    """Fill a file of the store's directory and hand it over; whatever fails, nothing is left."""
    if message.mutable:
        raise InvalidArgument(
            "a store in a directory keeps what it was given: save mutable entries in a store in "
            "memory, or save again with overwrite=True"
        )
    with reserve(channel, message.name, message.size, message.overwrite) as (fd, directory):
        write_entry(fd, facts_of(message), packed, progress)
        channel.request(message, (fd,))
        os.fsync(directory)


@contextmanager
def reserve(channel: Channel, name: str, nbytes: int, overwrite: bool) -> Iterator[tuple[int, int]]:
    """Reserve room in a directory; yield the file to fill, and the directory."""
    _, fds = channel.exchange(messages.Reserve(name, nbytes, overwrite))
    filling.update(fds)
    try:
        if len(fds) != 2:
            raise Disconnected("the store keeps its entries in memory now")
        channel.idle = False
        yield fds[0], fds[1]
    except BaseException:
        # Whatever went wrong, the room and the file are given up by closing the channel.
        channel.idle = False
        raise
    finally:
        filling.difference_update(fds)
        wire.close_all(fds)


def facts_of(message: messages.Save) -> Trailer:
    """Return what the trailer of an entry says."""
    return Trailer(
        message.name.encode(),
        message.data_start,
        message.spec_offset,
        message.spec_nbytes,
        message.nbytes,
        time.time_ns(),
        message.ttl,
        trailer.flags(pinned=message.pin, apart=message.apart, parts=message.parts),
    )


def write_entry(
    fd: int,
    facts: Trailer,
    packed: Packed,
    progress: Callable[[int], object] | None = None,
) -> None:
    """Write a value and its trailer to an empty file, with a checksum, and onto the disk."""
    last = facts.pack(packed.size)
    with files.full_disk():
        files.reserve(fd, packed.size)
        packed.write(fd, progress)
        region.write(fd, [last], packed.size - len(last))
        files.finish(fd, packed.size)
