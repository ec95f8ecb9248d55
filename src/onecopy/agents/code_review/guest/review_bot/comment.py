"""What the bot's comment carries unseen: a marker to find it by, and the state of the review.

    <!-- onecopy:code-review:STATE -->

stands in the last line, alone; STATE is compressed JSON as base64. Readers on GitHub do not see
it, and nobody without write permission can change it; it is checked nevertheless.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from typing import Any

from onecopy_agent import nesting

MAX_LENGTH = 65_000
"""GitHub refuses comments beyond 65,536 characters."""
_MAX_STATE = 1 << 20
_MARKER = re.compile(r"<!-- onecopy:code-review:([A-Za-z0-9+/=]*) -->\s*\Z")
_INLINE = re.compile(r"<!-- onecopy:code-review-line:([0-9a-f]{16}) -->\s*\Z")


def with_state(text: str, state: Any) -> str:
    """Return a comment's body."""
    packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 9)
    return f"{text}\n\n<!-- onecopy:code-review:{base64.b64encode(packed).decode()} -->"


def is_marked(body: str) -> bool:
    """Whether a comment of the bot is the one with the review."""
    return _MARKER.search(body) is not None


def state_of(body: str) -> Any:
    """Return the state in a comment's body; None where it is garbled or too large."""
    found = _MARKER.search(body)
    try:
        packed = base64.b64decode(found[1], validate=True) if found else b""
        inflate = zlib.decompressobj()
        text = inflate.decompress(packed, _MAX_STATE)
        return nesting.loads(text.decode()) if inflate.eof else None
    except (ValueError, zlib.error):
        return None


def with_anchor(text: str, anchor: str) -> str:
    """Return the body of a comment on a line."""
    return f"{text}\n\n<!-- onecopy:code-review-line:{anchor} -->"


def anchor_of(body: str) -> str:
    """Return the anchor of the line that a comment of the bot is on; empty without one."""
    found = _INLINE.search(body)
    return found[1] if found else ""
