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

    @property
    def said(self) -> Said:
        """Why it failed, as the agent says it: a text, or JSON that has `message`."""
        if self.status == ERROR:
            try:
                return msgspec.json.decode(self.text, type=Said)
            except msgspec.MsgspecError:
                pass
        return Said(self.text)


class Said(msgspec.Struct, frozen=True):
    """What an agent's error says."""

    message: str
    retry_after: float | None = None
    """Seconds until it wants to be tried again."""
    retry: bool = True
    """False if trying again would not help."""
