"""Requests that `[[grants.http]]` allows. Secrets are added by the host; the guest has none."""

from __future__ import annotations

import json as _json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from onecopy_agent import errors, nesting
from onecopy_agent.host import call

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Response:
    """An answer: its status, headers in their order, and body as text."""

    status: int
    headers: list[tuple[str, str]]
    text: str
    url: str = ""

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    def header(self, name: str, default: str = "") -> str:
        """Return a header's first value; names are compared without case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), default)

    def json(self) -> Any:
        """Return the body as a JSON value.

        Raises:
            Failed: it is none.
        """
        try:
            return nesting.loads(self.text)
        except ValueError:
            raise errors.Failed(f"{self.url} answered {self.status} with no JSON") from None


def request(
    method: str,
    url: str,
    *,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    json: Any = None,
    body: str | None = None,
) -> Response:
    """Send a request; every status that comes back is an answer, not an error.

        issue = http.request("GET", f"{api}/repos/{repo}/issues/{number}").json()

    Raises:
        NotGranted, Timeout, Unavailable, TooLarge, BudgetExceeded: there is no answer.
    """
    sent = {"accept": "application/json", **{k.lower(): v for k, v in (headers or {}).items()}}
    if json is not None:
        body = _json.dumps(json)
        sent["content-type"] = "application/json"
    if query:
        url += ("&" if "?" in url else "?") + urlencode(query)
    pairs = [[key, value] for key, value in sent.items()]
    reply = call("http.send", {"method": method, "url": url, "headers": pairs, "body": body})
    received = [(key, value) for key, value in reply["headers"]]
    return Response(reply["status"], received, reply["body"], url)


def get(url: str, **options: Any) -> Response:
    """Send a GET; options as of `request`."""
    return request("GET", url, **options)


def post(url: str, **options: Any) -> Response:
    """Send a POST; options as of `request`."""
    return request("POST", url, **options)


def patch(url: str, **options: Any) -> Response:
    """Send a PATCH; options as of `request`."""
    return request("PATCH", url, **options)


def put(url: str, **options: Any) -> Response:
    """Send a PUT; options as of `request`."""
    return request("PUT", url, **options)


def delete(url: str, **options: Any) -> Response:
    """Send a DELETE; options as of `request`."""
    return request("DELETE", url, **options)
