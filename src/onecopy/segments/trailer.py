"""What a file says about the entry in it: its last bytes, which are all that a restart reads.

    name            UTF-8
    origin          path of the file that holds the data, if it is another one
    fixed fields    FIXED bytes, the end of the file

A name in the header or in the file system would do for people; a daemon that finds a thousand
files wants one short read of each, and wants to know that it is whole. docs/format.md has the
fields.
"""

from __future__ import annotations

import os
import stat
import struct

# Not from hashlib, which brings OpenSSL along; the daemon has this one anyway.
from _blake2 import blake2b
from typing import Any, Final, NamedTuple

from onecopy.errors import CorruptEntry

_MAGIC: Final = b"1COPYENT"
_VERSION: Final = 1
# magic, version, flags; size, data start, spec offset, spec bytes, payload, created; ttl;
# bytes of the origin, its modification; lengths of name and origin. A digest of all that follows.
_FIELDS: Final = struct.Struct("<8sII QQQQQQ d QQ HH4x")
_DIGEST_SIZE: Final = 8
FIXED: Final = _FIELDS.size + _DIGEST_SIZE

# One read gets the trailer and a short spec before it, unless the origin's path is long.
_TAIL: Final = 1024

_NAME_LIMIT: Final = 255

PINNED: Final = 1
APART: Final = 2
PARTS: Final = 4


def flags(*, pinned: bool, apart: bool = False, parts: bool = False) -> int:
    """Return the flags of an entry."""
    return PINNED * pinned | APART * apart | PARTS * parts


class Trailer(NamedTuple):
    """Facts about an entry that a file keeps; offsets are those of its segment."""

    name: bytes
    data_start: int
    spec_offset: int
    spec_nbytes: int
    nbytes: int
    created: int
    """ns since the epoch."""
    ttl: float | None = None
    flags: int = 0
    origin: bytes = b""
    """Absolute path of the file whose bytes the entry is; empty if they are in this one."""
    origin_size: int = 0
    origin_modified: int = 0
    """ns since the epoch."""

    def pack(self, size: int) -> bytes:
        """Return the last bytes of a file of `size` bytes."""
        lengths = len(self.name), len(self.origin)
        where = self.origin_size, self.origin_modified
        facts = (self.flags, size, *self[1:6], self.ttl or 0.0, *where, *lengths)
        body = self.name + self.origin + _FIELDS.pack(_MAGIC, _VERSION, *facts)
        return body + _digest(body)

    def _check(self, size: int) -> None:
        """Raise `CorruptEntry` unless the fields agree with each other and with the size."""
        end = self.spec_offset + (0 if self.origin else self.spec_nbytes)
        room = size - nbytes_for(self.name, self.origin)
        whole = end == room
        if self.origin:
            whole = end <= self.origin_size and self.spec_nbytes <= room
        ordered = 0 < self.data_start <= self.spec_offset <= end
        if not ordered or not whole or max(self.nbytes, self.spec_nbytes, end) >= 2**63:
            raise CorruptEntry("the offsets in its trailer contradict its size")
        if self.ttl is not None and not 0 < self.ttl < float("inf"):
            raise CorruptEntry(f"its ttl is {self.ttl}")
        if bool(self.origin) != bool(self.flags & APART):
            raise CorruptEntry("its flags contradict its origin")
        if not 0 < len(self.name) <= _NAME_LIMIT or b"\0" in self.name + self.origin:
            raise CorruptEntry("its name is no name")
        try:
            self.name.decode()
        except UnicodeDecodeError:
            raise CorruptEntry("its name is not UTF-8") from None


def nbytes_for(name: bytes, origin: bytes = b"") -> int:
    """Return how long the trailer of an entry is."""
    return len(name) + len(origin) + FIXED


def spec_of(fd: int, size: int, facts: Trailer, before: bytes) -> bytes:
    """Return the packed spec, which ends where the trailer begins; `before` as `read` gave it."""
    length = facts.spec_nbytes
    if length <= len(before):
        return before[len(before) - length :]
    end = size - nbytes_for(facts.name, facts.origin)
    return os.pread(fd, length, max(0, end - length))


def read(fd: int, size: int) -> tuple[Trailer, bytes]:
    """Return the trailer of a file of `size` bytes, and some bytes before it, as many as came.

    Raises `CorruptEntry` for anything that does not end like an entry.
    """
    tail = os.pread(fd, _TAIL, max(0, size - _TAIL))
    if len(tail) < FIXED or not tail.startswith(_MAGIC, len(tail) - FIXED):
        raise CorruptEntry("it does not end like an entry")
    fields = _FIELDS.unpack_from(tail, len(tail) - FIXED)
    length = fields[-2] + fields[-1] + FIXED
    if length > len(tail):
        tail = os.pread(fd, length, max(0, size - length))
    start = len(tail) - length
    if start < 0 or fields[3] != size or _digest(tail[start:-_DIGEST_SIZE]) != tail[-_DIGEST_SIZE:]:
        raise CorruptEntry("its trailer is damaged")
    facts = _facts(fields, tail[start:-FIXED])
    facts._check(size)
    return facts, tail[:start]


def _facts(fields: tuple[Any, ...], text: bytes) -> Trailer:
    _, version, flags, _, data_start, spec_offset, spec_nbytes, nbytes, created, *rest = fields
    if version != _VERSION:
        raise CorruptEntry(f"its trailer has version {version}; upgrade onecopy")
    ttl, origin_size, modified, middle, _ = rest
    offsets = data_start, spec_offset, spec_nbytes, nbytes
    where = text[middle:], origin_size, modified
    return Trailer(text[:middle], *offsets, created, ttl or None, flags, *where)


def open_origin(facts: Trailer) -> int:
    """Open the file whose bytes an entry is; raises `CorruptEntry` if it is not what it was."""
    path = os.fsdecode(facts.origin)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise CorruptEntry(
            f"the entry is the bytes of {path}, which is not there ({error.strerror}); import it "
            "again"
        ) from error
    status = os.fstat(fd)
    same = (status.st_size, status.st_mtime_ns) == (facts.origin_size, facts.origin_modified)
    if not same or not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise CorruptEntry(f"{path} was changed after it became an entry; import it again")
    return fd


def _digest(data: bytes) -> bytes:
    return blake2b(data, digest_size=_DIGEST_SIZE).digest()
