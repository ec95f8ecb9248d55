"""An event as its trigger makes it, before a queue numbers it."""

from __future__ import annotations

from typing import Any

import msgspec

from onecopy.agents.event import Event


class BoundEvent(msgspec.Struct, frozen=True):
    """What a trigger knows of an event."""

    agent: str
    trigger: str
    """`webhook`, `schedule` or `cli`."""
    kind: str
    subject: str
    fields: dict[str, str] = {}
    payload: Any = None
    settings: dict[str, Any] = {}

    def event(self, event_id: str, *, attempt: int = 1, received: float = 0.0) -> Event:
        """Return the event with a number, as `handle` gets it."""
        return Event(
            event_id,
            self.agent,
            self.trigger,
            self.kind,
            self.subject,
            self.fields,
            self.payload,
            self.settings,
            attempt,
            received,
        )
