"""Long-term memory: texts that are found again by their meaning."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from onecopy_agent.host import call


@dataclass(frozen=True)
class Hit:
    """A text that was found; the higher `score`, the nearer."""

    id: str
    text: str
    metadata: Any
    score: float


def add(collection: str, text: str, metadata: Any = None) -> str:
    """Remember a text with JSON beside it; return its id."""
    return str(call("memory.add", collection, text, json.dumps(metadata)))


def search(collection: str, query: str, count: int = 5) -> list[Hit]:
    """Return the texts nearest to a query, best first."""
    return [_hit(each) for each in call("memory.search", collection, query, count)]


def forget(collection: str, id: str) -> None:
    """Remove a text."""
    call("memory.forget", collection, id)


def _hit(given: dict[str, Any]) -> Hit:
    return Hit(given["id"], given["text"], json.loads(given["metadata"] or "null"), given["score"])
