"""Requests of a guest: `http` of the WIT."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from onecopy.agents.calls import (
    FAILED,
    INVALID,
    NOT_FOUND,
    NOT_GRANTED,
    TIMEOUT,
    TOO_LARGE,
    UNAVAILABLE,
    Refused,
)
from onecopy.agents.event import Event
from onecopy.agents.grants.http import headers as rules
from onecopy.agents.grants.http import redirects
from onecopy.agents.grants.http.answer import Response
from onecopy.agents.grants.http.client import Client
from onecopy.agents.grants.http.refusals import not_granted
from onecopy.agents.manifest.http_grant import BODILESS, HttpGrant
from onecopy.agents.manifest.url import Url
from onecopy.agents.secrets import Redactor, Secrets
from onecopy.errors import InvalidArgument

_AGENT: Final = "onecopy-agent"


class Request(msgspec.Struct, frozen=True):
    """What a guest asks for."""

    method: str
    url: str
    headers: list[tuple[str, str]] = []
    body: str | None = None


class Http:
    """Requests that `[[grants.http]]` allows for one event (a `Capability`).

        http = Http(manifest.grants.http, event, client, secrets)
        await http.call("send", [{"method": "GET", "url": "https://api.github.com/zen"}])

    Args:
        grants: of the manifest.
        event: whose fields the paths are bound to.
        client: of the server.
        secrets: of the server; read from the environment if not given.
        follow: redirects that a grant allows; if not, they are answers like others.
    """

    def __init__(
        self,
        grants: Sequence[HttpGrant],
        event: Event,
        client: Client,
        secrets: Secrets | None = None,
        *,
        follow: bool = True,
    ) -> None:
        self._grants = grants
        self._fields = event.fields
        self._client = client
        self._secrets = secrets or Secrets()
        self._follows = follow

    async def call(self, function: str, arguments: list[Any]) -> Any:
        """Make a request and return the answer: status, headers and body as text.

        Raises:
            Refused: no grant allows it, or it did not succeed; with `timeout` and `failed` the
                server may have done what it was asked for, with other codes it has not.
        """
        if function != "send":
            raise Refused(NOT_FOUND, f"http has no function {function!r}; there is send")
        try:
            request = msgspec.convert(arguments[0], Request)
            url = Url.parse(request.url)
        except (IndexError, ValueError) as error:
            raise Refused(INVALID, f"the request cannot be: {error}") from None
        hidden = Redactor()
        try:
            return await self._follow(request, url, hidden)
        except Refused as error:
            # Whom a secret was sent to may have put it into a redirect.
            code, message = error.refusal.code, hidden.text(error.refusal.message)
            raise Refused(code, message) from None

    async def _follow(self, request: Request, url: Url, hidden: Redactor) -> dict[str, Any]:
        """Make a request, and those that its answers point to and another grant allows."""
        grant = self._grant(request.method, url)
        named = rules.from_guest(grant, request.headers)
        body = _body(request, grant)
        end = asyncio.get_running_loop().time() + grant.timeout
        trail = Trail(request.method, url, named, body)
        for _ in range(redirects.MOST + 1):
            response = await self._send(grant, trail, end, hidden)
            target = redirects.target(response, trail.url) if self._follows else None
            if target is None:
                return _shown(response, hidden)
            trail = trail.turn(redirects.method(response, trail.method), target)
            grant = self._next(grant, trail)
        raise Refused(FAILED, f"{url.origin} redirects more than {redirects.MOST} times")

    async def _send(self, grant: HttpGrant, trail: Trail, end: float, hidden: Redactor) -> Response:
        remaining = end - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise Refused(TIMEOUT, f"{trail.url.origin} took too long to redirect")
        return await self._client.request(
            trail.method,
            trail.url,
            self._headers(grant, trail, hidden),
            trail.body,
            private=grant.private,
            timeout=remaining,
            max_bytes=grant.max_response,
        )

    def _headers(self, grant: HttpGrant, trail: Trail, hidden: Redactor) -> dict[str, str]:
        """Put headers together: the guest's, the host's over them."""
        merged = {"user-agent": _AGENT, "accept": "*/*"}
        merged |= {n.lower(): v for n, v in trail.headers.items() if rules.allowed(grant, n)}
        # A part of what is compressed cannot be decompressed.
        merged["accept-encoding"] = "identity" if "range" in merged else "gzip, deflate"
        for name, value in grant.headers.items():
            if value.secrets and trail.strayed:
                continue
            try:
                merged[name.lower()] = value.fill(self._secrets)
                for secret in value.secrets:
                    hidden.add(self._secrets.read(secret))
            except InvalidArgument as error:
                raise Refused(UNAVAILABLE, f"the host cannot add {name}: {error}") from None
        return merged

    def _grant(self, method: str, url: Url) -> HttpGrant:
        """Find the grant for a request.

        Raises:
            Refused: there is none; the text has the line that would be one.
        """
        for grant in self._grants:
            if allows(grant, method, url, self._fields):
                return grant
        raise Refused(NOT_GRANTED, not_granted(self._grants, method, url, self._fields))

    def _next(self, before: HttpGrant, trail: Trail) -> HttpGrant:
        try:
            grant = self._grant(trail.method, trail.url)
        except Refused as error:
            text = f"the answer is a redirect: {error.refusal.message}"
            raise Refused(NOT_GRANTED, text) from None
        if grant.private and not before.private:
            raise Refused(
                NOT_GRANTED,
                f"{before.origin} redirects to {grant.origin}, which is private; a server of the "
                "public Internet does not lead there, ask for it directly",
            )
        return grant


class Trail(msgspec.Struct, frozen=True):
    """A request on its way from one redirect to the next."""

    method: str
    url: Url
    headers: dict[str, str]
    """The guest's."""
    body: str | None
    strayed: bool = False
    """Whether it has left the origin that the guest asked; no secrets are sent then."""

    def turn(self, method: str, url: Url) -> Trail:
        """Return the request that a redirect asks for."""
        headers, body = self.headers, self.body
        if method != self.method:
            headers = {n: v for n, v in headers.items() if not n.lower().startswith("content-")}
            body = None
        return Trail(method, url, headers, body, self.strayed or url.origin != self.url.origin)


def allows(grant: HttpGrant, method: str, url: Url, fields: dict[str, str]) -> bool:
    """Say whether a grant is for a request of an event with these fields."""
    names = [name for name, _ in url.query]
    return (
        grant.method == method
        and grant.origin == url.origin
        and len(set(names)) == len(names)
        and set(names) <= set(grant.query)
        and grant.path.matches(url.segments, url.slash, fields)
    )


def _body(request: Request, grant: HttpGrant) -> str | None:
    if request.body is None:
        return None
    if request.method in BODILESS:
        raise Refused(INVALID, f"a {request.method} has no body; leave it out, or use POST")
    try:
        size = len(request.body.encode())
    except UnicodeEncodeError:
        raise Refused(INVALID, "the body is no text: it has halves of characters") from None
    if size > grant.max_request:
        raise Refused(
            TOO_LARGE,
            f"the body is over {grant.max_request} bytes; send less, or raise max_request of the "
            "grant in agent.toml",
        )
    return request.body


def _shown(response: Response, hidden: Redactor) -> dict[str, Any]:
    """Write an answer as the WIT has it; a server that echoes a request tells no secret."""
    headers = [[n, hidden.text(v)] for n, v in rules.for_guest(response.headers)]
    return {
        "status": response.status,
        "headers": headers,
        "body": hidden.text(response.text()),
    }
