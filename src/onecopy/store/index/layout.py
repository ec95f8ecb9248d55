"""Where in the index everything is, and how names are hashed.

    offset 0     header, one page
    buckets      u64 each, a power of two of them: open addressing, linear probing
    slots        512 bytes each, dense

A bucket is 0 (never used: the probe ends), 1 (tombstone: go on), or 40 bits of the name's hash
above 24 bits of slot number + 2. Buckets never move; a fuller index is a new segment, and the
old header says `moved`.

A slot is guarded by its generation, a seqlock: odd while it is written, and another even number
afterwards. It is bumped *before* the descriptor that the slot names is closed. So a reader who
finds it unchanged after opening that descriptor has opened the right file, though descriptor
numbers are reused.
"""

from __future__ import annotations

# Not from hashlib, which brings OpenSSL along: a tenth of the daemon's memory.
from _blake2 import blake2b
from typing import Final

MAGIC: Final = b"1COPYIDX"
VERSION: Final = 1

# Word (u64) numbers in the header, and byte offsets of what is not a word.
VERSION_WORD: Final = 1
STATE_WORD: Final = 2
SLOTS_WORD: Final = 3
BUCKETS_WORD: Final = 4
USED_WORD: Final = 7
SEED_AT: Final = 64
SEED_SIZE: Final = 16
PULSE_AT: Final = 128
_HEADER_SIZE: Final = 4096

LIVE: Final = 0
MOVED: Final = 1
CLOSED: Final = 2

FIRST_BUCKET: Final = _HEADER_SIZE // 8
"""The word of the first bucket."""
EMPTY: Final = 0
TOMBSTONE: Final = 1
SLOT_BITS: Final = 24
SLOT_MASK: Final = (1 << SLOT_BITS) - 1
SLOT_LIMIT: Final = SLOT_MASK - 2

SLOT_SIZE: Final = 512
SLOT_WORDS: Final = SLOT_SIZE // 8
TOUCH_SIZE: Final = 16
"""Of a slot in the touch segment, which has as many."""


def hash_of(key: bytes, seed: bytes) -> int:
    """Return the hash of a name; keyed, so that nobody can choose names for one bucket."""
    return int.from_bytes(blake2b(key, digest_size=8, key=seed).digest(), "little")


def geometry(slots: int) -> tuple[int, int, int]:
    """Return the number of buckets, where the slots begin, and the size of the segment."""
    buckets = 1 << (4 * slots - 1).bit_length()
    first = _HEADER_SIZE + 8 * buckets
    return buckets, first, first + slots * SLOT_SIZE
