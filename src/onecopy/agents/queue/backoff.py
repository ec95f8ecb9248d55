"""How long an event waits before it is tried again."""

from __future__ import annotations

import hashlib

FIRST = 10.0  # seconds
FACTOR = 4.0
MOST = 3600.0
LONGEST = 86400.0  # that a caller may ask for; what is due later was so by a clock set wrongly


def delay(event: str, attempt: int) -> float:
    """Seconds until attempt `attempt + 1`: 10, 40, 160, … up to an hour, give or take a quarter.

    The part that varies is a function of the event and the attempt: events that failed together
    do not come back together, and a test or a replay sees the same delays again.
    """
    whole = min(MOST, FIRST * FACTOR ** min(attempt - 1, 10))
    digest = hashlib.blake2b(f"{event} {attempt}".encode(), digest_size=4).digest()
    return whole * (0.75 + 0.5 * int.from_bytes(digest, "big") / 2**32)


def bounded(seconds: float) -> float:
    """A delay that somebody asks for, such as GitHub's `Retry-After`."""
    return min(max(0.0, seconds), LONGEST)
