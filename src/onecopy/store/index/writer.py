"""The daemon's side of the index."""

from __future__ import annotations

import mmap
import os

from onecopy.segments import region
from onecopy.store.index.layout import (
    BUCKETS_WORD,
    CLOSED,
    EMPTY,
    FIRST_BUCKET,
    MAGIC,
    MOVED,
    PULSE_AT,
    SEED_AT,
    SEED_SIZE,
    SLOT_BITS,
    SLOT_LIMIT,
    SLOT_SIZE,
    SLOTS_WORD,
    STATE_WORD,
    TOMBSTONE,
    USED_WORD,
    VERSION,
    VERSION_WORD,
    geometry,
    hash_of,
)
from onecopy.store.index.pulse import Pulse
from onecopy.store.index.slot import FIELDS, VACANT, Record


class IndexWriter:
    """The daemon's side of one index segment."""

    def __init__(self, slots: int, seed: bytes | None = None) -> None:
        self.slots = min(slots, SLOT_LIMIT)
        buckets, self._first, self.size = geometry(self.slots)
        self._mask = buckets - 1
        self.fd = region.create("onecopy-index", self.size)
        region.seal(self.fd, mutable=True)
        # Other users may be given it to read (group readers): they must not open it to write.
        os.fchmod(self.fd, 0o644)
        self._bytes = memoryview(mmap.mmap(self.fd, self.size))
        self._words = self._bytes.cast("Q")
        self._seed = seed or os.urandom(SEED_SIZE)
        self._filled = 0
        self._write_header(buckets)
        self.pulse = Pulse(self._bytes[PULSE_AT : PULSE_AT + 64])

    def _write_header(self, buckets: int) -> None:
        self._bytes[:8] = MAGIC
        self._bytes[SEED_AT : SEED_AT + SEED_SIZE] = self._seed
        self._words[VERSION_WORD] = VERSION
        self._words[SLOTS_WORD] = self.slots
        self._words[BUCKETS_WORD] = buckets

    @property
    def crowded(self) -> bool:
        """Whether tombstones and entries fill so many buckets that probes grow long."""
        return self._filled * 2 > self._mask

    def hash(self, key: bytes) -> int:
        """Return the hash to keep in the record of a name."""
        return hash_of(key, self._seed)

    def insert(self, slot: int, record: Record) -> None:
        """Publish a new name. The slot is complete before the first reader can find it."""
        self.update(slot, record)
        self._words[USED_WORD] = max(self._words[USED_WORD], slot + 1)
        self._link(slot, record.hash)

    def _link(self, slot: int, digest: int) -> None:
        number, mask, words = digest, self._mask, self._words
        while words[FIRST_BUCKET + (number & mask)] > TOMBSTONE:
            number += 1
        bucket = FIRST_BUCKET + (number & mask)
        self._filled += words[bucket] == EMPTY
        words[bucket] = (digest >> SLOT_BITS << SLOT_BITS) | (slot + 2)

    def _bucket(self, number: int) -> int:
        """Return the word number of a bucket, wrapping around."""
        return FIRST_BUCKET + (number & self._mask)

    def update(self, slot: int, record: Record) -> None:
        """Write a slot: readers see the old record or the new one, never a mixture."""
        start = self._first + slot * SLOT_SIZE
        word = start // 8
        # Single u64 items: struct.pack_into clears them first, and readers would see a 0.
        generation = self._words[word] | 1
        self._words[word] = generation
        packed = record.packed(generation)[8:]
        self._bytes[start + 8 : start + 8 + len(packed)] = packed
        self._words[word] = generation + 1

    def remove(self, slot: int, digest: int) -> None:
        """Unpublish a name; afterwards its descriptor may be closed and its slot used again."""
        bucket = self._bucket(digest & self._mask)
        wanted = (digest >> SLOT_BITS << SLOT_BITS) | (slot + 2)
        while self._words[bucket] != wanted:
            bucket = self._bucket(bucket - self._bucket(0) + 1)
        self._words[bucket] = TOMBSTONE
        self._sweep(bucket)
        self.update(slot, VACANT)

    def _sweep(self, bucket: int) -> None:
        """Empty tombstones that end a run: no probe needs to pass them."""
        first = self._bucket(0)
        if self._words[self._bucket(bucket - first + 1)] != EMPTY:
            return
        while self._words[bucket] == TOMBSTONE:
            self._words[bucket] = EMPTY
            self._filled -= 1
            bucket = self._bucket(bucket - first - 1)

    def generation(self, slot: int) -> int:
        """Return a slot's generation."""
        return self._words[(self._first + slot * SLOT_SIZE) // 8]

    def record(self, slot: int) -> Record:
        """Return what a slot says."""
        start = self._first + slot * SLOT_SIZE
        return Record.parse(bytes(self._bytes[start : start + SLOT_SIZE]))

    def moved_to(self, slots: int) -> IndexWriter:
        """Copy everything to a new segment of `slots`, and tell readers of this one to move."""
        new = IndexWriter(slots, self._seed)
        used = self._words[USED_WORD] * SLOT_SIZE
        new._bytes[new._first : new._first + used] = self._bytes[self._first : self._first + used]
        new._words[USED_WORD] = self._words[USED_WORD]
        for slot in range(self._words[USED_WORD]):
            fields = FIELDS.unpack_from(self._bytes, self._first + slot * SLOT_SIZE)
            if fields[6]:
                new._link(slot, fields[1])
        self.close(MOVED)
        return new

    def close(self, state: int = CLOSED) -> None:
        """Say so in the header, and let go of the segment."""
        self._words[STATE_WORD] = state
        self.pulse.stop()
        os.close(self.fd)
