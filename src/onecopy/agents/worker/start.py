"""What a run starts with, beside its event: with the host's answers, all that a replay needs."""

from __future__ import annotations

import os
import time
from typing import Final

import msgspec

SEED_NBYTES: Final = 32


class Start(msgspec.Struct, frozen=True):
    """The seed of the guest's randomness, and the time that its clock shows at first."""

    seed: bytes
    time_ns: int
    """Since 1970."""
    waits: bool = True
    """Whether a guest that sleeps waits; its clock moves on in any case."""

    @staticmethod
    def new() -> Start:
        """Return the present time, and a random seed."""
        return Start(os.urandom(SEED_NBYTES), time.time_ns())
