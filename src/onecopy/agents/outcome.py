"""How a run of an agent ended."""

from __future__ import annotations

from typing import Final

import msgspec

OK: Final = "ok"
ERROR: Final = "error"  # handle returned its error
FAILED: Final = "failed"  # it trapped, or ran out of time, memory or calls
LOST: Final = "lost"  # its worker ended; nothing is known of the agent's own fault


class Outcome(msgspec.Struct, frozen=True):
    """What a run came to.

    A run that is `ERROR`, `FAILED` or `LOST` is tried again as the manifest says.
    """

    status: str
    text: str
    """What `handle` returned, or why it did not."""
    started_ms: float = 0.0
    """From the call of `run` until the guest's `handle` began."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """What the guest computed, without its waits."""
    memory: int = 0
    """Bytes that it touched, in its linear memories and in its worker, in whole pages."""
