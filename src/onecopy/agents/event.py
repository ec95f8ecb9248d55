"""What an agent is called with."""

from __future__ import annotations

from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One event for one agent; `handle` gets it as JSON.

    `fields` are what the manifest takes out of the signed payload: paths of grants are bound to
    them, so a guest cannot reach another repository than its event's.
    """

    id: str
    """Unique in a queue."""
    agent: str
    trigger: str
    """`webhook`, `schedule` or `cli`."""
    kind: str
    """Such as `pull_request.opened`; of a schedule its name."""
    subject: str
    """Events of one subject run one after another."""
    fields: dict[str, str]
    payload: Any = None
    settings: dict[str, Any] = {}
    """The manifest's `[settings]`."""
    attempt: int = 1
    received: float = 0.0
    """Seconds since 1970."""
