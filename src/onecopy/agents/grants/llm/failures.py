"""What an endpoint's failures mean to a guest, and which of them may pass."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

import msgspec

from onecopy.agents.calls import INVALID, TOO_LARGE, UNAVAILABLE, Refused
from onecopy.agents.grants.llm.answer import said

if TYPE_CHECKING:
    from onecopy.agents.grants.llm.endpoint import Stream

ERROR_BYTES: Final = 4096
SHOWN: Final = 300
_PASSES: Final = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
_TOO_LONG: Final = ("context_length_exceeded", "maximum context length", "exceed_context_size")


class Definite(Exception):
    """Another attempt would not change it.

    Args:
        refused: what is said.
    """

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.refused = refused


class Again(Exception):
    """Another attempt may do.

    Args:
        refused: what is said if there is none.
        after: seconds to wait, if the endpoint says so.
    """

    def __init__(self, refused: Refused, after: float | None = None) -> None:
        super().__init__(str(refused))
        self.refused = refused
        self.after = after


def failure(status: int, text: str, retry_after: str) -> Definite | Again:
    """Return what a status that is not 200 comes to.

    Args:
        status: the code.
        text: what the endpoint says, fit to be shown.
        retry_after: the header, if there is one.
    """
    shown = f"the endpoint answered {status}: {text[:SHOWN]}"
    if status in _PASSES:
        after = seconds_of(retry_after)
        when = "later" if after is None else f"after {after:g} s"
        return Again(Refused(UNAVAILABLE, f"{shown}; try again {when}"), after)
    return Definite(_refused(status, shown))


def _refused(status: int, shown: str) -> Refused:
    if status == 413 or any(sign in shown for sign in _TOO_LONG):
        return Refused(TOO_LARGE, f"{shown}; shorten the messages")
    if status in (400, 422):
        return Refused(INVALID, shown)
    if status in (401, 403):
        return Refused(UNAVAILABLE, f"{shown}; is the key in [grants.llm] of agent.toml right?")
    if 300 <= status < 400:
        return Refused(
            UNAVAILABLE, "the endpoint redirects elsewhere; write that address in [grants.llm]"
        )
    return Refused(UNAVAILABLE, f"{shown}; are url and models in [grants.llm] right?")


def seconds_of(retry_after: str) -> float | None:
    """Return what `Retry-After` says, a number or a date, in seconds from now.

    >>> seconds_of("2.5")
    2.5
    """
    try:
        seconds = float(retry_after)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    except ValueError:
        pass
    try:
        when = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=timezone.utc)
    return max(0.0, (when - datetime.now(timezone.utc)).total_seconds())


async def read_error(response: Stream) -> str:
    """Return what a refusal says, of which only the beginning is read."""
    data = b""
    try:
        async for piece in response.chunks():
            data += piece
            if len(data) >= ERROR_BYTES:
                break
    except Refused:
        pass  # The status says enough.
    try:
        found = msgspec.json.decode(data)
        return said(found.get("error", found))
    except (msgspec.DecodeError, UnicodeDecodeError, AttributeError, RecursionError):
        return data[:ERROR_BYTES].decode(errors="replace")
