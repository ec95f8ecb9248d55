"""Entries of the store that `[grants.entries]` names, to read."""

from __future__ import annotations

import json
from typing import Any

from onecopy_agent.host import call


def names(prefix: str = "") -> list[str]:
    """Return the names of the granted entries that begin so."""
    return list(call("entries.names", prefix))


def describe(name: str) -> Any:
    """Return an entry as JSON: its value, or of each tensor its dtype and shape."""
    return json.loads(call("entries.describe", name))


def read(name: str) -> str:
    """Return a text of the store."""
    return str(call("entries.read", name))
