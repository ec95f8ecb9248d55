"""One slot of the index: what it says about its entry."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from onecopy.store.index.layout import SLOT_SIZE

FIELDS: Final = struct.Struct("<Q QQQQ IHH QQQQQQ QQ")
"""generation; hash, dev, inode, descriptor; flags, name length, spec length; size, data start,
spec offset, spec bytes, payload bytes, created (ns since the epoch), modified, spec descriptor"""
NAME_AT: Final = FIELDS.size

MUTABLE: Final = 1
APART: Final = 2
PARTS: Final = 4


class Record(NamedTuple):
    """What a slot says about its entry."""

    hash: int
    dev: int
    ino: int
    fd: int
    flags: int
    size: int
    data_start: int
    spec_offset: int
    spec_nbytes: int
    nbytes: int
    created: int
    modified: int
    """When a file was last modified, in ns since the epoch; 0 for a memfd."""
    spec_fd: int
    """The descriptor of the memfd that holds the packed spec, or 0 if there is none."""
    key: bytes
    spec: bytes
    """The packed spec, or empty if it is only in the segment or in a memfd of its own."""

    @property
    def mutable(self) -> bool:
        """Whether the entry was saved with `mutable=True`."""
        return bool(self.flags & MUTABLE)

    @classmethod
    def parse(cls, raw: bytes) -> Record:
        """Return what the bytes of a slot say."""
        fields = FIELDS.unpack_from(raw)
        middle = NAME_AT + fields[6]
        key, spec = raw[NAME_AT:middle], raw[middle : middle + fields[7]]
        return cls._make((*fields[1:6], *fields[8:], key, spec))

    def packed(self, generation: int) -> bytes:
        """Return the bytes of a slot; see `parse`."""
        key, spec = self.key, self.spec
        fields = FIELDS.pack(generation, *self[:5], len(key), len(spec), *self[5:13])
        return fields + key + spec


VACANT: Final = Record(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b"", b"")
"""What a slot says that is nobody's."""


class Found:
    """A name that was looked up: what a load needs of its slot, ready to use."""

    __slots__ = (
        "apart",
        "data_start",
        "extent",
        "fd",
        "generation",
        "ino",
        "modified",
        "mutable",
        "parts",
        "size",
        "slot",
        "spec",
        "spec_fd",
        "spec_nbytes",
        "spec_offset",
        "word",
    )

    def __init__(self, slot: int, word: int, fields: tuple[int, ...], spec: bytes) -> None:
        self.slot = slot
        self.word = word
        """Where the index has the slot's generation."""
        self.generation, _, _, self.ino, fd, flags, _, _, self.size = fields[:9]
        self.data_start, self.spec_offset, self.spec_nbytes = fields[9:12]
        self.modified, spec_fd = fields[14:16]
        self.fd = str(fd)
        self.spec_fd = str(spec_fd) if spec_fd else ""
        self.mutable = bool(flags & MUTABLE)
        self.apart = bool(flags & APART)
        """Whether the spec is not in the segment, whose data ends at `spec_offset`."""
        self.extent = self.spec_offset if self.apart else self.size
        """How much of the segment to map."""
        self.parts = bool(flags & PARTS)
        """Whether the value is a list of names of entries, whose dicts make up the value."""
        self.spec = spec


def spec_room(key: bytes) -> int:
    """Return how many bytes of spec fit the slot of a name."""
    return SLOT_SIZE - NAME_AT - len(key)
