"""Bodies of requests: read whole, within limits of bytes and of time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Iterable

SECONDS: Final = 30.0
"""In which a body has to come: its sender has had the bytes before it began."""
ALL: Final = 256 << 20
"""Bytes of all bodies at once. Whose they are is known only at their end, by the signature."""


class Bodies:
    """Reads what strangers send, and keeps no more of it than there is room for.

    Args:
        seconds: in which each has to come.
        most: bytes of all together.
    """

    def __init__(self, seconds: float = SECONDS, most: int = ALL) -> None:
        self._seconds = seconds
        self._left = most

    async def read(self, request: web.Request, limit: int) -> bytes:
        """Return the body of a request.

        Raises:
            HTTPBadRequest: it breaks off, or is not sent as HTTP says.
            HTTPRequestEntityTooLarge: it has more than `limit` bytes.
            HTTPRequestTimeout: it does not come.
            HTTPServiceUnavailable: there are too many others.
        """
        if (request.content_length or 0) > limit:
            raise web.HTTPRequestEntityTooLarge(limit, request.content_length or 0)
        parts: list[bytes] = []
        try:
            await asyncio.wait_for(self._collect(request, limit, parts), self._seconds)
            return b"".join(parts)
        except (web.RequestPayloadError, ConnectionError):
            raise web.HTTPBadRequest(headers={"Connection": "close"}) from None
        except asyncio.TimeoutError:
            raise web.HTTPRequestTimeout(headers={"Connection": "close"}) from None
        finally:
            self._left += _size(parts)

    async def _collect(self, request: web.Request, limit: int, parts: list[bytes]) -> None:
        size = 0
        async for part in request.content.iter_any():
            parts.append(part)
            size += len(part)
            self._left -= len(part)
            if size > limit:
                raise web.HTTPRequestEntityTooLarge(limit, size)
            if self._left < 0:
                raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})


def _size(parts: Iterable[bytes]) -> int:
    return sum(map(len, parts))
