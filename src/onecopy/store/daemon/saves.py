"""What a `Save` says: checked, and as the index has it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from onecopy.errors import InvalidArgument
from onecopy.segments import region
from onecopy.store.index.slot import APART, MUTABLE, PARTS, Record, spec_room

if TYPE_CHECKING:
    import os

    from onecopy.store.daemon.books import Entry
    from onecopy.store.messages import Save


def check_fields(message: Save, key: bytes) -> None:
    """Check what the segment's own size can tell; what the spec says, readers check."""
    end = message.spec_offset + (0 if message.apart else message.spec_nbytes)
    start = 0 if message.apart else 1
    ordered = start <= message.data_start <= message.spec_offset <= end <= message.size
    if not ordered or message.nbytes < 0 or message.spec_nbytes < 0:
        raise InvalidArgument("the offsets of the segment's parts contradict its size")
    if len(message.spec) > spec_room(key):
        raise InvalidArgument("the spec is too long for the index; leave it in the segment")
    if message.ttl is not None and not 0 < message.ttl < float("inf"):
        raise InvalidArgument(f"ttl must be a positive number of seconds, not {message.ttl}")
    plain = message.kind == region.SEALED and not message.parts
    if message.kind not in region.KINDS or (message.mutable and not plain):
        raise InvalidArgument("only a segment of its own can be mutable; save a copy")
    if message.size >= 2**63 or message.nbytes >= 2**63:
        raise InvalidArgument("the segment is larger than any address space")


def check_spec(message: Save, fds: list[int]) -> int:
    """Check that the spec comes along if it must; return its descriptor, or 0."""
    wanted = 1 + (message.apart and not message.spec)
    if len(fds) != wanted:
        raise InvalidArgument(f"this save comes with {wanted} descriptors, not {len(fds)}")
    if wanted == 1:
        return 0
    region.check(fds[1], message.spec_nbytes)
    return fds[1]


def _flags(message: Save) -> int:
    mutable, apart, parts = message.mutable, message.apart, message.parts
    return MUTABLE * mutable | APART * apart | PARTS * parts


def record_of(
    message: Save, key: bytes, status: os.stat_result, entry: Entry, digest: int
) -> Record:
    """Return what the index says of an entry that was saved so."""
    return Record(
        digest,
        status.st_dev,
        status.st_ino,
        entry.holding.fd,
        _flags(message),
        message.size,
        message.data_start,
        message.spec_offset,
        message.spec_nbytes,
        message.nbytes,
        time.time_ns(),
        status.st_mtime_ns if message.kind == region.FILE else 0,
        entry.spec_fd,
        key,
        message.spec,
    )
