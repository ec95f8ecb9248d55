"""Signatures of webhooks: GitHub's, and those of Standard Webhooks.

Sources: "Validating webhook deliveries" (docs.github.com) and the Standard Webhooks specification
(github.com/standard-webhooks/standard-webhooks). GitHub signs the body only: neither the kind of
an event nor the delivery's id is signed, so that a replay is told by its body.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from onecopy.errors import ForgedEvent, InvalidArgument

TOLERANCE: Final = 300.0
"""Seconds that a signed time may be from now."""
SHORTEST: Final = 8
"""Characters of a secret; a shorter one is guessed from one delivery."""

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_HEX: Final = re.compile(r"sha256=[0-9a-f]{64}", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{1,12}", re.ASCII)
_PREFIX: Final = "whsec_"
# Secrets can be renewed while both are sent; more than a few only cost time.
_SIGNATURES: Final = 16

SomeHeaders = Mapping[str, str] | Iterable[tuple[str, str]]


class Delivery(msgspec.Struct, frozen=True):
    """A delivery whose signature is right."""

    id: str
    """What the sender calls it; of GitHub's, it is not signed."""
    body_hash: str
    """SHA-256 of the body, in hexadecimal digits."""


def check_secret(kind: str, secret: str) -> None:
    """Check a secret when a server starts, and not when the first delivery comes.

    Raises:
        InvalidArgument: nothing can be verified with it.
    """
    if len(secret) < SHORTEST:
        raise InvalidArgument(f"a webhook's secret has at least {SHORTEST} characters")
    if kind == "standard":
        _key(secret)


def verify(
    kind: str,
    secret: str,
    headers: SomeHeaders,
    body: bytes,
    *,
    now: Callable[[], float] = time.time,
) -> Delivery:
    """Check who sent a delivery.

    Args:
        kind: `github`, or `standard` for Standard Webhooks.
        secret: that the sender has as well; a standard one may be written `whsec_` and base64.
        headers: of the delivery; their names in any case.
        body: as it came.
        now: the clock, in seconds since 1970, that a signed time is compared with.

    Raises:
        ForgedEvent: a signature is missing, wrong or too old. The text does not say what it should
            have been.

    Example:
        >>> mac = hmac.new(b"a secret", b"{}", "sha256").hexdigest()
        >>> named = {"X-Hub-Signature-256": f"sha256={mac}", "X-GitHub-Delivery": "7"}
        >>> verify("github", "a secret", named, b"{}").id
        '7'
    """
    check_secret(kind, secret)
    found = _by_name(headers)
    if kind == "github":
        delivery = _github(secret, found, body)
    elif kind == "standard":
        delivery = _standard(secret, found, body, now())
    else:
        raise InvalidArgument(f"there are the signatures github and standard, not {kind!r}")
    return Delivery(delivery, hashlib.sha256(body).hexdigest())


def _github(secret: str, headers: dict[str, str], body: bytes) -> str:
    delivery = _id(headers, "x-github-delivery")
    given = _header(headers, "x-hub-signature-256")
    if not _HEX.fullmatch(given):
        raise ForgedEvent("X-Hub-Signature-256 is not sha256= and 64 hexadecimal digits")
    expected = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(given, f"sha256={expected}"):
        raise ForgedEvent("X-Hub-Signature-256 is wrong; do sender and manifest have one secret?")
    return delivery


def _standard(secret: str, headers: dict[str, str], body: bytes, now: float) -> str:
    delivery = _id(headers, "webhook-id")
    signed = _header(headers, "webhook-timestamp")
    if not _TIME.fullmatch(signed):
        raise ForgedEvent("webhook-timestamp is no number of seconds since 1970")
    content = f"{delivery}.{signed}.".encode() + body
    expected = base64.b64encode(hmac.new(_key(secret), content, hashlib.sha256).digest())
    given = _header(headers, "webhook-signature").split()[:_SIGNATURES]
    # All are compared, whichever is right, for the time to tell nothing.
    right = [hmac.compare_digest(each.encode(), b"v1," + expected) for each in given]
    if not any(right):
        raise ForgedEvent("webhook-signature is wrong; do sender and manifest have one secret?")
    # Only now: who cannot sign learns nothing of this clock.
    if abs(now - int(signed)) > TOLERANCE:
        raise ForgedEvent(
            f"webhook-timestamp is over {TOLERANCE:.0f} s from the time here; is it an old "
            "delivery, or is a clock wrong?"
        )
    return delivery


def _key(secret: str) -> bytes:
    if not secret.startswith(_PREFIX):
        return secret.encode()
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < SHORTEST:
        raise InvalidArgument(f"what follows {_PREFIX} in a secret is base64 of {SHORTEST} bytes")
    return key


def _by_name(headers: SomeHeaders) -> dict[str, str]:
    """Return headers by their names in small letters; one that is there twice is none."""
    found: dict[str, str] = {}
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        key = name.lower()
        found[key] = "" if key in found else value
    return found


def _header(headers: dict[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value or not value.isascii():
        raise ForgedEvent(f"the delivery has no header {name}, or more than one")
    return value


def _id(headers: dict[str, str], name: str) -> str:
    value = _header(headers, name)
    if not _ID.fullmatch(value):
        raise ForgedEvent(f"{name} is not 1 to 128 letters, digits and . _ -")
    return value
