"""JSON Schemas: what a model has to answer, and what the bot keeps in its comment."""

from __future__ import annotations

from typing import Any

LEVELS = ("low", "medium", "high")

_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_LEVEL = {"enum": list(LEVELS)}


def _exactly(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_FINDING = {
    "path": _TEXT,
    "line": {"type": "integer"},
    "side": {"enum": ["RIGHT", "LEFT"]},
    "severity": _LEVEL,
    "title": _TEXT,
    "detail": _TEXT,
    "suggestion": _TEXT,
}
_OVERVIEW = {"summary": _TEXT, "changes": _TEXTS, "risks": _TEXTS, "risk": _LEVEL}

OVERVIEW = _exactly(**_OVERVIEW)
"""What a model says of a change as a whole."""
ANSWER = _exactly(**_OVERVIEW, findings={"type": "array", "items": _exactly(**_FINDING)})
"""What a model says of a part of a change."""
STATE = _exactly(
    head=_TEXT,
    review=_exactly(
        **_OVERVIEW,
        findings={"type": "array", "items": _exactly(**_FINDING, anchor=_TEXT)},
    ),
    news={"type": "array", "items": _TEXTS},
    asked={"type": "integer"},
)
"""What is kept of a review (review.State)."""
