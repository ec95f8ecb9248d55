"""What the demo has a model write: a card about a page, as JSON after a schema."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

PROMPTS: Final = (
    "# Guide\n\nA store keeps one copy of every tensor.\n",
    "# Format\n\nAn entry's bytes are a safetensors file.\n",
    "# Models\n\nA module comes back without a copy.\n",
    "# Disk\n\nEntries are files, published atomically.\n",
    "# Protocol\n\nA message is a struct, with descriptors beside it.\n",
    "# Guests\n\nA window is pages of a tensor in a guest's memory.\n",
    "# Liveness\n\nThe kernel knows who uses a segment.\n",
)

_MARKDOWN: Final = frozenset("`|*#")


class Card(msgspec.Struct, forbid_unknown_fields=True):
    """What must come out; `SCHEMA` says the same to the grammar engine."""

    title: Annotated[str, msgspec.Meta(min_length=3, max_length=30)]
    kind: Literal["guide", "design", "reference"]
    pages: Annotated[int, msgspec.Meta(ge=1, le=99)]


SCHEMA: Final = msgspec.json.encode(
    {
        "type": "object",
        "properties": {
            "title": {"type": "string", "minLength": 3, "maxLength": 30},
            "kind": {"enum": ["guide", "design", "reference"]},
            "pages": {"type": "integer", "minimum": 1, "maximum": 99},
        },
        "required": ["title", "kind", "pages"],
        "additionalProperties": False,
        # llguidance: nothing between the tokens of JSON, where a small model would dwell for ever.
        "x-guidance": {"whitespace_flexible": False},
    }
)


def parses(text: str) -> bool:
    """Return whether a text is a card, without Markdown."""
    try:
        msgspec.json.decode(text, type=Card)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return False
    return not _MARKDOWN & set(text)
