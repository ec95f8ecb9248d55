"""A session of aiohttp that heeds nothing but what it is told."""

from __future__ import annotations

import ssl
from typing import Any, Final

import aiohttp
from aiohttp.abc import AbstractResolver

# Shorter than servers keep theirs: a POST on one that they just closed may or may not be done.
_KEPT: Final = 3.0


def open_session(tls: ssl.SSLContext | None, connections: int) -> aiohttp.ClientSession:
    """Return a session without cookies, proxies, `.netrc`, caches and headers of its own.

    Args:
        tls: whom to trust; the system's authorities if not given.
        connections: that may be open at once.
    """
    connector = aiohttp.TCPConnector(
        ssl=tls or ssl.create_default_context(),
        limit=connections,
        keepalive_timeout=_KEPT,
        use_dns_cache=False,
        resolver=_Never(),
        happy_eyeballs_delay=None,
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        trust_env=False,
    )


class _Never(AbstractResolver):
    """Refuses: aiohttp gets addresses only."""

    async def resolve(self, host: str, *_: Any, **__: Any) -> Any:
        raise OSError(f"{host} was to be resolved a second time")

    async def close(self) -> None:
        pass
