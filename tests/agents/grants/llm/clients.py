"""A client without any checks, for servers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp

from onecopy.agents.calls import TIMEOUT, UNAVAILABLE, Refused


class PlainStream:
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response

    async def chunks(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except aiohttp.ClientError as error:
            raise Refused(UNAVAILABLE, f"cut: {error}") from error


class PlainClient:
    """As `endpoint.Client`, over aiohttp."""

    @contextlib.asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        private: bool,
        timeout: float,
    ) -> AsyncIterator[Any]:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(timeout)) as session:
            try:
                response = await session.request(
                    method, url, headers=dict(headers), data=body, allow_redirects=False
                )
            except asyncio.TimeoutError as error:
                raise Refused(TIMEOUT, "too slow") from error
            except aiohttp.ClientError as error:
                raise Refused(UNAVAILABLE, f"no response: {error}") from error
            async with response:
                yield PlainStream(response)
