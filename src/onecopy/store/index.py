"""The index: a segment the daemon writes and every client maps, so that loads ask nobody (I6).

    offset 0     header, one page
    buckets      u64 each, a power of two of them: open addressing, linear probing
    slots        512 bytes each, dense

A bucket is 0 (never used: the probe ends), 1 (tombstone: go on), or 40 bits of the name's hash
above 24 bits of slot number + 2. Buckets never move; a fuller index is a new segment, and the
old header says `moved`.

A slot is guarded by its generation, a seqlock: odd while it is written, and another even number
afterwards. It is bumped *before* the descriptor that the slot names is closed. So a reader who
finds it unchanged after opening that descriptor has opened the right file, though descriptor
numbers are reused. docs/format.md has both layouts field by field.
"""

from __future__ import annotations

import mmap
import os
import struct
import time

# Not from hashlib, which brings OpenSSL along: a tenth of the daemon's memory.
from _blake2 import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from onecopy.errors import ProtocolError
from onecopy.segments import region
from onecopy.store.pulse import Pulse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.segments.mapping import Mapping

MAGIC: Final = b"1COPYIDX"
VERSION: Final = 1

# Word (u64) numbers in the header, and byte offsets of what is not a word.
_VERSION_WORD: Final = 1
STATE_WORD: Final = 2
_SLOTS_WORD: Final = 3
_BUCKETS_WORD: Final = 4
USED_WORD: Final = 7
_SEED_AT: Final = 64
_SEED_SIZE: Final = 16
PULSE_AT: Final = 128
_HEADER_SIZE: Final = 4096

LIVE: Final = 0
MOVED: Final = 1
CLOSED: Final = 2

SLOT_SIZE: Final = 512
# Of the touch segment, which has as many slots.
TOUCH_SIZE: Final = 16
_SLOT_WORDS: Final = SLOT_SIZE // 8
_BUCKETS_WORD_AT: Final = _HEADER_SIZE // 8
# generation; hash, dev, inode, descriptor; flags, name length, spec length; size, data start,
# spec offset, spec bytes, payload bytes, created (ns since the epoch), modified, spec descriptor
_FIELDS: Final = struct.Struct("<Q QQQQ IHH QQQQQQ QQ")
_NAME_AT: Final = _FIELDS.size

MUTABLE: Final = 1
APART: Final = 2
PARTS: Final = 4

_EMPTY: Final = 0
_TOMBSTONE: Final = 1
_SLOT_BITS: Final = 24
_SLOT_MASK: Final = (1 << _SLOT_BITS) - 1
SLOT_LIMIT: Final = _SLOT_MASK - 2

# A slot is odd for about a microsecond. Longer means that the daemon was stopped in between.
_SPINS: Final = 200


class Busy(Exception):
    """A slot stayed half-written: the daemon is stopped, or died just then."""


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
    return SLOT_SIZE - _NAME_AT - len(key)


def _hash(key: bytes, seed: bytes) -> int:
    # Keyed, so that nobody can choose names that all fall into one bucket.
    return int.from_bytes(blake2b(key, digest_size=8, key=seed).digest(), "little")


def _geometry(slots: int) -> tuple[int, int, int]:
    """Return the number of buckets, where the slots begin, and the size of the segment."""
    buckets = 1 << (4 * slots - 1).bit_length()
    first = _HEADER_SIZE + 8 * buckets
    return buckets, first, first + slots * SLOT_SIZE


class IndexWriter:
    """The daemon's side of one index segment."""

    def __init__(self, slots: int, seed: bytes | None = None) -> None:
        self.slots = min(slots, SLOT_LIMIT)
        buckets, self._first, self.size = _geometry(self.slots)
        self._mask = buckets - 1
        self.fd = region.create("onecopy-index", self.size)
        region.seal(self.fd, mutable=True)
        # Other users may be given it to read (group readers): they must not open it to write.
        os.fchmod(self.fd, 0o644)
        self._bytes = memoryview(mmap.mmap(self.fd, self.size))
        self._words = self._bytes.cast("Q")
        self._seed = seed or os.urandom(_SEED_SIZE)
        self._filled = 0
        self._write_header(buckets)
        self.pulse = Pulse(self._bytes[PULSE_AT : PULSE_AT + 64])

    def _write_header(self, buckets: int) -> None:
        self._bytes[:8] = MAGIC
        self._bytes[_SEED_AT : _SEED_AT + _SEED_SIZE] = self._seed
        self._words[_VERSION_WORD] = VERSION
        self._words[_SLOTS_WORD] = self.slots
        self._words[_BUCKETS_WORD] = buckets

    @property
    def crowded(self) -> bool:
        """Whether tombstones and entries fill so many buckets that probes grow long."""
        return self._filled * 2 > self._mask

    def hash(self, key: bytes) -> int:
        """Return the hash to keep in the record of a name."""
        return _hash(key, self._seed)

    def insert(self, slot: int, record: Record) -> None:
        """Publish a new name. The slot is complete before the first reader can find it."""
        self.update(slot, record)
        self._words[USED_WORD] = max(self._words[USED_WORD], slot + 1)
        self._link(slot, record.hash)

    def _link(self, slot: int, digest: int) -> None:
        number, mask, words = digest, self._mask, self._words
        while words[_BUCKETS_WORD_AT + (number & mask)] > _TOMBSTONE:
            number += 1
        bucket = _BUCKETS_WORD_AT + (number & mask)
        self._filled += words[bucket] == _EMPTY
        words[bucket] = (digest >> _SLOT_BITS << _SLOT_BITS) | (slot + 2)

    def _bucket(self, number: int) -> int:
        """Return the word number of a bucket, wrapping around."""
        return _BUCKETS_WORD_AT + (number & self._mask)

    def update(self, slot: int, record: Record) -> None:
        """Write a slot: readers see the old record or the new one, never a mixture."""
        start = self._first + slot * SLOT_SIZE
        word = start // 8
        # Single u64 items: struct.pack_into clears them first, and readers would see a 0.
        generation = self._words[word] | 1
        self._words[word] = generation
        key, spec = record.key, record.spec
        fields = _FIELDS.pack(generation, *record[:5], len(key), len(spec), *record[5:13])
        packed = fields[8:] + key + spec
        self._bytes[start + 8 : start + 8 + len(packed)] = packed
        self._words[word] = generation + 1

    def remove(self, slot: int, digest: int) -> None:
        """Unpublish a name; afterwards its descriptor may be closed and its slot used again."""
        bucket = self._bucket(digest & self._mask)
        wanted = (digest >> _SLOT_BITS << _SLOT_BITS) | (slot + 2)
        while self._words[bucket] != wanted:
            bucket = self._bucket(bucket - self._bucket(0) + 1)
        self._words[bucket] = _TOMBSTONE
        self._sweep(bucket)
        self.update(slot, _VACANT)

    def _sweep(self, bucket: int) -> None:
        """Empty tombstones that end a run: no probe needs to pass them."""
        first = self._bucket(0)
        if self._words[self._bucket(bucket - first + 1)] != _EMPTY:
            return
        while self._words[bucket] == _TOMBSTONE:
            self._words[bucket] = _EMPTY
            self._filled -= 1
            bucket = self._bucket(bucket - first - 1)

    def generation(self, slot: int) -> int:
        """Return a slot's generation."""
        return self._words[(self._first + slot * SLOT_SIZE) // 8]

    def record(self, slot: int) -> Record:
        """Return what a slot says."""
        start = self._first + slot * SLOT_SIZE
        return _parse(bytes(self._bytes[start : start + SLOT_SIZE]))

    def moved_to(self, slots: int) -> IndexWriter:
        """Copy everything to a new segment of `slots`, and tell readers of this one to move."""
        new = IndexWriter(slots, self._seed)
        used = self._words[USED_WORD] * SLOT_SIZE
        new._bytes[new._first : new._first + used] = self._bytes[self._first : self._first + used]
        new._words[USED_WORD] = self._words[USED_WORD]
        for slot in range(self._words[USED_WORD]):
            fields = _FIELDS.unpack_from(self._bytes, self._first + slot * SLOT_SIZE)
            if fields[6]:
                new._link(slot, fields[1])
        self.close(MOVED)
        return new

    def close(self, state: int = CLOSED) -> None:
        """Say so in the header, and let go of the segment."""
        self._words[STATE_WORD] = state
        self.pulse.stop()
        os.close(self.fd)


_VACANT: Final = Record(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b"", b"")


class IndexReader:
    """A client's view of one index segment, mapped read-only."""

    def __init__(self, mapping: Mapping, thread: int) -> None:
        self.address = mapping.address
        """Where it is mapped, as long as this reader lives."""
        self._bytes = memory = mapping.view().toreadonly()
        self.words = memory.cast("Q")
        self.pulse = memory[PULSE_AT : PULSE_AT + 4].cast("I")
        self.thread = thread
        if bytes(memory[:8]) != MAGIC or self.words[_VERSION_WORD] != VERSION:
            raise ProtocolError("the store's index has another format; upgrade the older side")
        buckets, first, size = _geometry(self.words[_SLOTS_WORD])
        if buckets != self.words[_BUCKETS_WORD] or size > len(memory):
            raise ProtocolError("the store's index contradicts its header; restart the store")
        self._mask = buckets - 1
        self._first = first
        self._first_word = first // 8
        self._seed = bytes(memory[_SEED_AT : _SEED_AT + _SEED_SIZE])

    @property
    def current(self) -> bool:
        """Whether this is the index of a living daemon, and not an older one of it."""
        # The pulse stops too when the index moves or is closed, so this says it all.
        return self.pulse[0] == self.thread

    def find(self, key: bytes) -> Found | None:
        """Return what the slot of a name says, or None.

        A name that is removed and saved again meanwhile may be missed: it was absent for a
        moment. Raises `Busy` if a slot stays half-written.
        """
        digest = _hash(key, self._seed)
        mask, words = self._mask, self.words
        for number in range(digest, digest + mask + 1):
            word = words[_BUCKETS_WORD_AT + (number & mask)]
            if word == _EMPTY:
                return None
            if (word ^ digest) >> _SLOT_BITS == 0 and word != _TOMBSTONE:
                slot = (word & _SLOT_MASK) - 2
                raw = self._read(slot)
                fields = _FIELDS.unpack_from(raw)
                middle = _NAME_AT + fields[6]
                if raw[_NAME_AT:middle] == key:
                    spec = raw[middle : middle + fields[7]]
                    return Found(slot, self._first_word + slot * _SLOT_WORDS, fields, spec)
        return None

    def _read(self, slot: int) -> bytes:
        """Return the bytes of a slot, as they were at one moment, its generation first."""
        word = self._first_word + slot * _SLOT_WORDS
        start = self._first + slot * SLOT_SIZE
        words = self.words
        for spin in range(_SPINS):
            generation = words[word]
            if not generation & 1:
                raw = bytes(self._bytes[start : start + SLOT_SIZE])
                if words[word] == generation:
                    return raw
            if spin > 10:
                time.sleep(0)
        raise Busy

    def records(self) -> Iterator[Record]:
        """Yield the records of all entries, each as it is at some moment of the scan."""
        for slot in range(self.words[USED_WORD]):
            record = _parse(self._read(slot))
            if record.key:
                yield record


def _parse(raw: bytes) -> Record:
    fields = _FIELDS.unpack_from(raw)
    middle = _NAME_AT + fields[6]
    key, spec = raw[_NAME_AT:middle], raw[middle : middle + fields[7]]
    return Record._make((*fields[1:6], *fields[8:], key, spec))
