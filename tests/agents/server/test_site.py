"""Where a site listens."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from onecopy.agents.server.site import Address, Site
from onecopy.errors import InvalidArgument


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("8080", ("127.0.0.1", 8080)),
        (":8080", ("127.0.0.1", 8080)),
        ("[::1]:9", ("::1", 9)),
    ],
)
def test_addresses_are_read(text: str, address: tuple[str, int]) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "a:b", "1:65536", "1:-1", "1:²"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="write it like"):
        Address.parse(text)


async def _here(_: web.Request) -> web.Response:
    return web.Response(text="here")


def test_a_site_answers_while_it_is_entered_and_then_no_more() -> None:
    async def whole() -> None:
        app = web.Application()
        app.router.add_get("/", _here)
        async with aiohttp.ClientSession() as session:
            async with Site(app, Address("127.0.0.1", 0)) as site:
                async with session.get(site.url) as answer:
                    assert await answer.text() == "here"
                port = int(site.url.rpartition(":")[2])
                with pytest.raises(InvalidArgument, match="name another address"):
                    async with Site(web.Application(), Address("127.0.0.1", port)):
                        pass
            with pytest.raises(aiohttp.ClientError):
                await session.get(site.url)

    asyncio.run(whole())
