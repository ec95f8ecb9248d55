"""A client for HTTP that reaches public addresses, and private ones only where that is granted.

A name is resolved once for each request, each of its addresses is checked, and the connection is
made to one that was checked: by its number, so that no one else asks a name server again. This
holds for connections that are kept open as well, as they are found again by the number. TLS is
checked against the name. Variables for proxies, .netrc, cookies and redirects are not heeded.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from onecopy.agents.calls import INVALID, NOT_GRANTED, TIMEOUT, UNAVAILABLE, Refused
from onecopy.agents.grants.http.addresses import refusal
from onecopy.agents.grants.http.answer import Headers, Response, Stream, header
from onecopy.agents.grants.http.decoder import Decoder
from onecopy.agents.grants.http.failures import explain, failures
from onecopy.agents.grants.http.headers import SomeHeaders, checked
from onecopy.agents.grants.http.resolver import Resolver, SystemResolver
from onecopy.agents.manifest.url import Url

if TYPE_CHECKING:
    import aiohttp

_CONNECT: Final = 10.0
_TRIED: Final = 4
_STREAMED: Final = 64 << 20


class Client:
    """Makes requests; a server has one of these, and all its agents use it.

    Args:
        resolver: finds addresses; the system's if not given. It may lie: each answer is checked.
        tls: whom to trust; the system's authorities if not given.
        connections: that may be open at once; more requests wait.

    Example:
        ```python
        client = Client()
        response = await client.request(
            "GET", "https://api.github.com/zen", {"Accept": "text/plain"}, None,
            private=False, timeout=30, max_bytes=1 << 20,
        )
        await client.close()
        ```
    """

    def __init__(
        self,
        *,
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        connections: int = 200,
    ) -> None:
        self._resolver = resolver or SystemResolver()
        self._tls = tls
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None
        self._closed = False

    async def close(self) -> None:
        """Close its connections; twice is fine."""
        self._closed = True
        session, self._session = self._session, None
        self._resolver.close()
        if session is not None:
            await session.close()

    async def request(
        self,
        method: str,
        url: str | Url,
        headers: SomeHeaders = (),
        body: str | bytes | None = None,
        *,
        private: bool,
        timeout: float,
        max_bytes: int,
    ) -> Response:
        """Make one request and return the whole answer, redirects included as they are.

        Args:
            method: in capitals.
            url: absolute; `http` needs `private`, and a private address.
            headers: all of them, but for those that frame the message.
            body: `None` for none.
            private: whether loopback and private addresses are granted.
            timeout: seconds for the whole exchange.
            max_bytes: of the body of the answer, as it is sent and once it is decompressed.

        Raises:
            Refused: `not-granted` if an address must not be reached; `unavailable` if nothing was
                sent; `timeout` and `failed` if something may have been, and done; `too-large`;
                `invalid` if the URL is none.
        """
        exchange = self.stream(
            method, url, headers, body, private=private, timeout=timeout, max_bytes=max_bytes
        )
        async with exchange as answer:
            return await answer.read()

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str | Url,
        headers: SomeHeaders = (),
        body: str | bytes | None = None,
        *,
        private: bool,
        timeout: float,
        max_bytes: int = _STREAMED,
        idle: float | None = None,
    ) -> AsyncIterator[Stream]:
        """Make one request, and read the answer while it comes; the arguments are `request`'s.

        Args:
            idle: seconds to wait for each next piece.

        Example:
            ```python
            async with client.stream("POST", url, headers, body, **limits) as answer:
                async for chunk in answer.chunks():
                    ...
            ```
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        target, named = _read(url), checked(headers)
        addresses = await self._addresses(target, private, timeout)
        data = body.encode() if isinstance(body, str) else body
        answer = await self._send(addresses, end, idle, method, target, named, data)
        found = _headers(answer)
        try:
            decoder = Decoder(header(found, "content-encoding"), max_bytes)
            yield Stream(answer.status, found, lambda: _chunks(answer, decoder, target))
        finally:
            # One that was read to its end is back in the pool by now.
            answer.close()

    async def _addresses(self, target: Url, private: bool, timeout: float) -> list[str]:
        """Return the addresses of a host, all of which may be connected to."""
        origin = target.origin
        plain = origin.scheme == "http"
        if plain and not private:
            raise Refused(NOT_GRANTED, f"{origin} is not encrypted; use https://")
        found = [origin.host]
        if not origin.literal:
            found = await self._resolve(origin.host, origin.port, timeout)
        for address in found:
            why = refusal(address, private=private, public=not plain)
            if why is not None:
                raise Refused(
                    NOT_GRANTED,
                    f"{origin.host} is at {address}, which is {why}; private = true in the grant "
                    "allows loopback and private addresses, nothing allows others",
                )
        return found[:_TRIED]

    async def _resolve(self, host: str, port: int, timeout: float) -> list[str]:
        asking = self._resolver.resolve(host, port)
        try:
            found = await asyncio.wait_for(asking, min(timeout, _CONNECT))
        except asyncio.TimeoutError:
            raise Refused(UNAVAILABLE, f"no name server answers for {host}; try later") from None
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise Refused(UNAVAILABLE, f"{host} has no address; is its name right?")
        return found

    async def _send(
        self,
        addresses: list[str],
        end: float,
        idle: float | None,
        method: str,
        target: Url,
        headers: dict[str, str],
        data: bytes | None,
    ) -> aiohttp.ClientResponse:
        """Send a request to the first address that can be connected to."""
        import aiohttp
        from yarl import URL

        origin = target.origin
        for left, address in zip(range(len(addresses))[::-1], addresses, strict=True):
            remaining = end - asyncio.get_running_loop().time()
            if remaining <= 0:
                raise Refused(TIMEOUT, f"{origin} was not reached in time")
            number = f"[{address}]" if ":" in address else address
            url = f"{origin.scheme}://{number}:{origin.port}{target.target}"
            try:
                return await self._open().request(
                    method,
                    URL(url, encoded=True),
                    headers={"Host": origin.authority, **headers},
                    data=data,
                    allow_redirects=False,
                    server_hostname=origin.host if origin.scheme == "https" else None,
                    timeout=aiohttp.ClientTimeout(
                        total=remaining, sock_connect=min(_CONNECT, remaining), sock_read=idle
                    ),
                )
            except failures() as error:
                if not (left and isinstance(error, aiohttp.ClientConnectorError)):
                    raise explain(error, target) from None
        raise Refused(UNAVAILABLE, f"{origin} has no address")

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise Refused(UNAVAILABLE, "the client is closed; the server is about to end")
        if self._session is None:
            from onecopy.agents.grants.http.session import open_session

            self._session = open_session(self._tls, self._connections)
        return self._session


def _read(url: str | Url) -> Url:
    try:
        return url if isinstance(url, Url) else Url.parse(url)
    except ValueError as error:
        raise Refused(INVALID, f"the URL cannot be used: {error}") from None


def _headers(answer: aiohttp.ClientResponse) -> Headers:
    # Bytes that are no UTF-8 are halves of pairs here, which no JSON has.
    return [
        (name, value.encode("utf-8", "surrogateescape").decode("utf-8", "replace"))
        for name, value in answer.headers.items()
    ]


async def _chunks(
    answer: aiohttp.ClientResponse, decoder: Decoder, target: Url
) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            for piece in decoder.feed(chunk):
                yield piece
    except failures() as error:
        raise explain(error, target) from None
    decoder.end()
