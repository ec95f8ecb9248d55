"""Redirects, as RFC 9110, 15.4 has them."""

from __future__ import annotations

from typing import Final
from urllib.parse import urldefrag, urljoin

from onecopy.agents.calls import FAILED, Refused
from onecopy.agents.grants.http.answer import Response, header
from onecopy.agents.manifest.url import Url

MOST: Final = 5
_STATUSES: Final = (301, 302, 303, 307, 308)


def target(response: Response, url: Url) -> Url | None:
    """Return where an answer points; `None` if it is no redirect.

    Raises:
        Refused: it is one, to something that is no URL for us.
    """
    location = header(response.headers, "location")
    if response.status not in _STATUSES or not location:
        return None
    try:
        return Url.parse(urldefrag(urljoin(str(url), location))[0])
    except ValueError as error:
        raise Refused(
            FAILED, f"{url.origin} redirects to what cannot be followed: {error}"
        ) from None


def method(response: Response, asked: str) -> str:
    """Return the method for the next request: GET after a POST that says to look elsewhere."""
    if response.status == 303 and asked != "HEAD":
        return "GET"
    return "GET" if response.status in (301, 302) and asked == "POST" else asked
