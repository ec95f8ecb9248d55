"""JSON as it lies in the file: a letter, `j` or `z`, then the text, plain or deflated."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import msgspec

from onecopy.errors import QueueUnavailable

SMALL = 512  # bytes that are not worth the time
LEVEL = 1


def packed(text: bytes) -> bytes:
    """What is written for a JSON text."""
    return b"j" + text if len(text) < SMALL else b"z" + zlib.compress(text, LEVEL)


def unpacked(blob: bytes) -> bytes:
    """The JSON text of what was written.

    Raises:
        QueueUnavailable: it is damaged.
    """
    if blob[:1] == b"j":
        return blob[1:]
    try:
        return zlib.decompress(blob[1:])
    except zlib.error as error:
        raise QueueUnavailable(f"the run's record is damaged ({error}); restore a backup") from None


def redacted(value: Any, redact: Callable[[str], str]) -> Any:
    """A JSON value with all its texts, keys too, as `redact` gives them."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list | tuple):
        return [redacted(each, redact) for each in value]
    if isinstance(value, dict):
        return {redact(str(key)): redacted(each, redact) for key, each in value.items()}
    return value


def plain(value: Any) -> Any:
    """A struct as the JSON value that it is written as."""
    return msgspec.to_builtins(value)
