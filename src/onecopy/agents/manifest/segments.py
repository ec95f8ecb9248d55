"""Parts of URLs as a server will understand them: decoded once, and never in two ways."""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from urllib.parse import quote, unquote_to_bytes

# What RFC 3986 allows in a path or query, without what only some servers take for a separator.
_RAW: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})*", re.ASCII)
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}", re.ASCII)
# Control and format characters, halves of pairs, what is unassigned or private, line breaks.
_UNSEEN: Final = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
_SAFE: Final = "-._~!$&'()*+,=:@"


def decode(raw: str, what: str) -> str:
    """Decode the percent-encoding of one part of a URL.

    Raises:
        ValueError: it has characters that a URL has not, or is no UTF-8.
    """
    if _RAW.fullmatch(raw) is None:
        raise ValueError(f"{what} has characters that must be percent-encoded in a URL")
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise ValueError(f"{what} is no UTF-8 once it is decoded") from None
    return text


def segment(raw: str) -> str:
    """Decode one segment of a path and check it: a name, and nothing that moves in the path.

    Raises:
        ValueError: it is empty, `.` or `..`, or could be these, or more than one segment, to a
            server that decodes twice, folds characters or cuts parameters.
    """
    text = decode(raw, "a segment of the path")
    check(text)
    # A full-width solidus or dot is an ordinary one to servers that normalise.
    check(unicodedata.normalize("NFKC", text))
    return text


def check(text: str) -> None:
    """Refuse a decoded segment that is not a plain name."""
    if text.partition(";")[0].strip() in ("", ".", ".."):
        raise ValueError("the path has a segment that is empty, . or ..")
    if "/" in text or "\\" in text:
        raise ValueError("the path has an encoded / or \\")
    if _ESCAPE.search(text):
        raise ValueError("the path is percent-encoded twice")
    visible(text, "the path")


def visible(text: str, what: str) -> None:
    """Refuse control characters and others that are not seen."""
    if not text.isascii() or not text.isprintable():
        for character in text:
            if unicodedata.category(character) in _UNSEEN:
                raise ValueError(f"{what} has the character U+{ord(character):04X}")


def encode(text: str) -> str:
    """Percent-encode a segment, the one way in which it is sent."""
    return quote(text, safe=_SAFE)
