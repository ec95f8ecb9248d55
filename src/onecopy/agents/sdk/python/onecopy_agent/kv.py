"""Values that outlive a run: of this agent, or of one conversation (the event's subject).

count = kv.conversation.get("count", 0)
kv.conversation.set("count", count + 1)
"""

from __future__ import annotations

import json
from typing import Any

from onecopy_agent.host import call


class Scope:
    """One set of keys; values are JSON values."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value, or `default` where there is none."""
        value = call("kv.get", self._name, key)
        return default if value is None else json.loads(value)

    def set(self, key: str, value: Any) -> None:
        """Keep a value under a key.

        Raises:
            BudgetExceeded: the quota of `[grants.kv]` is used up.
        """
        call("kv.set", self._name, key, json.dumps(value))

    def delete(self, key: str) -> None:
        """Forget a key; one that is not there is fine."""
        call("kv.delete", self._name, key)

    def keys(self, prefix: str = "") -> list[str]:
        """Return all keys that begin so."""
        return list(call("kv.keys", self._name, prefix))


agent = Scope("agent")
"""Of all events of this agent."""
conversation = Scope("conversation")
"""Of the events with this event's subject."""
