"""An event on its way into the queue, and the answer to it."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from onecopy.errors import InvalidEvent

NEW: Final = "new"
DUPLICATE: Final = "duplicate"
REVIVED: Final = "revived"


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an event before it has an id.

    Example:
        `Submission(agent="greeter", trigger="cli", kind="hello", subject="world", fields={})`
    """

    agent: str
    trigger: str
    kind: str
    subject: str
    fields: dict[str, str]
    payload: Any = None
    attempts: int = 5
    """Of the manifest: after so many the event is dead."""
    source: str = ""
    """Which trigger of its sort it was, such as a webhook's path; duplicates are of one source."""
    coalesce: str | None = None
    """Its class: a newer event of a subject and class supersedes those that wait. None for what
    `coalescing.class_of` says, empty for never."""


class Accepted(msgspec.Struct, frozen=True):
    """An event that is on disk."""

    id: str
    status: str
    """`new`, `duplicate` (of that id; nothing has changed) or `revived` (it was dead)."""


def body_hash(body: bytes) -> str:
    """What `put` knows a delivery's signed body by."""
    return hashlib.sha256(body).hexdigest()


def key(sort: str, submission: Submission, value: str) -> bytes:
    """What stands for a delivery's id or body in the table of those seen: 16 bytes."""
    # JSON, so that no value can be mistaken for two.
    whole = msgspec.json.encode(
        (sort, submission.agent, submission.trigger, submission.source, value)
    )
    return hashlib.blake2b(whole, digest_size=16).digest()


def encoded(submission: Submission, delivery_id: str) -> bytes:
    """What is kept of fields and payload.

    Raises:
        InvalidEvent: it cannot be written as JSON.
    """
    try:
        # Lone surrogates, which JSON can spell, are no text.
        f"{submission.agent}{submission.trigger}{submission.kind}{submission.subject}{delivery_id}".encode()
        return msgspec.json.encode((submission.fields, submission.payload))
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise InvalidEvent(
            f"an event of {submission.agent!r} cannot be written as JSON ({error}); send another"
        ) from error
