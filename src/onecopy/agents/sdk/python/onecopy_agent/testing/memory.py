"""Long-term memory of a test: the more words two texts share, the nearer they are."""

from __future__ import annotations

import math
import re
from collections import Counter
from typing import Any


class Memory:
    """Texts by collection, searched by the cosine of their word counts."""

    def __init__(self) -> None:
        self.texts: dict[str, dict[str, tuple[str, str]]] = {}
        """Text and metadata by collection and id."""
        self._last = 0

    def add(self, collection: str, text: str, metadata: str) -> str:
        """Remember a text."""
        self._last += 1
        self.texts.setdefault(collection, {})[str(self._last)] = (text, metadata)
        return str(self._last)

    def search(self, collection: str, query: str, count: int) -> list[dict[str, Any]]:
        """Return the nearest texts, best first."""
        wanted = _words(query)
        hits: list[dict[str, Any]] = [
            {"id": id, "text": text, "metadata": metadata, "score": _cosine(wanted, _words(text))}
            for id, (text, metadata) in self.texts.get(collection, {}).items()
        ]
        return sorted(hits, key=lambda each: each["score"], reverse=True)[:count]

    def forget(self, collection: str, id: str) -> None:
        """Remove a text."""
        self.texts.get(collection, {}).pop(id, None)


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text.lower()))


def _cosine(a: Counter[str], b: Counter[str]) -> float:
    shared = sum(a[each] * b[each] for each in a)
    size = math.sqrt(sum(v * v for v in a.values()) * sum(v * v for v in b.values()))
    return shared / size if size else 0.0
