"""A client's side of the index: how a name is looked up without asking anybody."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from onecopy.errors import ProtocolError
from onecopy.store.index.layout import (
    BUCKETS_WORD,
    EMPTY,
    FIRST_BUCKET,
    MAGIC,
    PULSE_AT,
    SEED_AT,
    SEED_SIZE,
    SLOT_BITS,
    SLOT_MASK,
    SLOT_SIZE,
    SLOT_WORDS,
    SLOTS_WORD,
    TOMBSTONE,
    USED_WORD,
    VERSION,
    VERSION_WORD,
    geometry,
    hash_of,
)
from onecopy.store.index.slot import FIELDS, NAME_AT, Found, Record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from onecopy.segments.mapping import Mapping

# A slot is odd for about a microsecond. Longer means that the daemon was stopped in between.
_SPINS: Final = 200


class Busy(Exception):
    """A slot stayed half-written: the daemon is stopped, or died just then."""


class IndexReader:
    """A client's view of one index segment, mapped read-only."""

    def __init__(self, mapping: Mapping, thread: int) -> None:
        self.address = mapping.address
        """Where it is mapped, as long as this reader lives."""
        self._bytes = memory = mapping.view().toreadonly()
        self.words = memory.cast("Q")
        self.pulse = memory[PULSE_AT : PULSE_AT + 4].cast("I")
        self.thread = thread
        if bytes(memory[:8]) != MAGIC or self.words[VERSION_WORD] != VERSION:
            raise ProtocolError("the store's index has another format; upgrade the older side")
        buckets, first, size = geometry(self.words[SLOTS_WORD])
        if buckets != self.words[BUCKETS_WORD] or size > len(memory):
            raise ProtocolError("the store's index contradicts its header; restart the store")
        self._mask = buckets - 1
        self._first = first
        self._first_word = first // 8
        self._seed = bytes(memory[SEED_AT : SEED_AT + SEED_SIZE])

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
        digest = hash_of(key, self._seed)
        mask, words = self._mask, self.words
        for number in range(digest, digest + mask + 1):
            word = words[FIRST_BUCKET + (number & mask)]
            if word == EMPTY:
                return None
            if (word ^ digest) >> SLOT_BITS == 0 and word != TOMBSTONE:
                slot = (word & SLOT_MASK) - 2
                raw = self._read(slot)
                fields = FIELDS.unpack_from(raw)
                middle = NAME_AT + fields[6]
                if raw[NAME_AT:middle] == key:
                    spec = raw[middle : middle + fields[7]]
                    return Found(slot, self._first_word + slot * SLOT_WORDS, fields, spec)
        return None

    def _read(self, slot: int) -> bytes:
        """Return the bytes of a slot, as they were at one moment, its generation first."""
        word = self._first_word + slot * SLOT_WORDS
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
            record = Record.parse(self._read(slot))
            if record.key:
                yield record
