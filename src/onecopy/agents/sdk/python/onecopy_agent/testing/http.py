"""HTTP of a test: answers by method and URL, or one function that answers everything."""

from __future__ import annotations

import json as _json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from onecopy_agent import errors

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Sent:
    """A request of the agent."""

    method: str
    url: str
    headers: dict[str, str]
    body: str | None

    @property
    def path(self) -> str:
        """The URL's path."""
        return urlsplit(self.url).path

    @property
    def query(self) -> dict[str, str]:
        """The URL's query, each name with its last value."""
        return dict(parse_qsl(urlsplit(self.url).query))

    def json(self) -> Any:
        """Return the body as a JSON value."""
        return _json.loads(self.body or "null")


class Http:
    """What answers requests; `sent` has all of them."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self._replies: dict[tuple[str, str], list[dict[str, Any] | Exception]] = {}
        self._serve: Callable[[Sent], Any] | None = None

    def reply(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        status: int = 200,
        text: str = "",
        headers: dict[str, str] | None = None,
        error: Exception | None = None,
    ) -> None:
        """Answer requests of this method and URL, query included; the last answer stays."""
        body = text if json is None else _json.dumps(json)
        given = {"status": status, "headers": list((headers or {}).items()), "body": body}
        self._replies.setdefault((method, url), []).append(error or given)

    def serve(self, function: Callable[[Sent], Any]) -> None:
        """Let a function answer: it returns `(status, headers, JSON or text)`, or raises."""
        self._serve = function

    def send(self, request: dict[str, Any]) -> Any:
        """Answer one request."""
        headers = {key.lower(): value for key, value in request["headers"]}
        sent = Sent(request["method"], request["url"], headers, request["body"])
        self.sent.append(sent)
        given = self._replies.get((sent.method, sent.url))
        if given:
            return _given(given.pop(0) if len(given) > 1 else given[0])
        if self._serve is not None:
            return _served(self._serve(sent))
        origin, path = "{0.scheme}://{0.netloc}".format(urlsplit(sent.url)), sent.path
        raise errors.NotGranted(
            f'add to agent.toml: [[grants.http]] origin = "{origin}", method = "{sent.method}", '
            f'path = "{path}"'
        )


def _given(reply: dict[str, Any] | Exception) -> dict[str, Any]:
    if isinstance(reply, Exception):
        raise reply
    return reply


def _served(reply: tuple[int, dict[str, str], Any]) -> dict[str, Any]:
    status, headers, body = reply
    text = body if isinstance(body, str) else _json.dumps(body)
    return {"status": status, "headers": list(headers.items()), "body": text}
