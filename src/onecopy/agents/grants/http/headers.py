"""Headers: what guests may send and see, and what is one at all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from onecopy.agents.calls import INVALID, NOT_GRANTED, Refused
from onecopy.agents.manifest.http_grant import FRAMING, UNSENT, HttpGrant

SomeHeaders = Mapping[str, str] | Iterable[tuple[str, str]]

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}", re.ASCII)
_VALUE: Final = re.compile(r"[!-~]+([ \t]+[!-~]+)*|", re.ASCII)
_MOST: Final = 50
_LONGEST: Final = 4096

# What no server takes for a credential, an address or another method.
_USUAL = """
    accept accept-language cache-control content-language content-type idempotency-key if-match
    if-modified-since if-none-match if-range if-unmodified-since prefer range user-agent
    x-github-api-version x-request-id
"""
# Cookies are credentials; the others are about a message that the guest does not see as it came.
_UNSEEN = """
    set-cookie set-cookie2 www-authenticate authentication-info content-encoding alt-svc
    strict-transport-security public-key-pins report-to nel
"""


def checked(headers: SomeHeaders) -> dict[str, str]:
    """Return headers by name; one that is there twice is joined by commas (RFC 9110, 5.3).

    Raises:
        Refused: one is none, and could be more than one.
    """
    joined: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        if not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value) or len(value) > _LONGEST:
            raise Refused(
                INVALID,
                f"the header {name[:40]!r} is a name, and a value of printable ASCII on one line "
                f"of at most {_LONGEST} characters",
            )
        known = next((each for each in joined if each.lower() == name.lower()), name)
        joined[known] = f"{joined[known]}, {value}" if known in joined else value
    if len(joined) > _MOST:
        raise Refused(INVALID, f"there are more than {_MOST} headers")
    return joined


def from_guest(grant: HttpGrant, headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Check what a guest wants to send.

    Raises:
        Refused: one is not for guests, or needs a line of the manifest.
    """
    named = checked(headers)
    for name in named:
        if name.lower() in UNSENT:
            raise Refused(
                NOT_GRANTED,
                f"a guest does not send {name}; if it is a credential, the host adds it: "
                f'headers = {{ {name} = "Bearer env:NAME" }} in the grant in agent.toml',
            )
        if not allowed(grant, name):
            raise Refused(
                NOT_GRANTED,
                f"the header {name} is not granted; add to the grant in agent.toml: "
                f'guest_headers = ["{name}"]  # {grant.line}',
            )
    return named


def allowed(grant: HttpGrant, name: str) -> bool:
    """Say whether a guest may send a header."""
    more = (each.lower() for each in grant.guest_headers)
    return name.lower() in _USUAL.split() or name.lower() in more


def for_guest(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return what a guest may see of an answer's headers, their names in small letters."""
    return [
        (name.lower(), value)
        for name, value in headers
        if name.lower() not in {*FRAMING, *_UNSEEN.split()}
    ]
