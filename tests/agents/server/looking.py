"""Pages of a server that runs, over real HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from onecopy.agents.server.service import Service
from onecopy.agents.server.site import Address, Site
from onecopy.agents.server.status import Status


class Look:
    """A service that runs, and a client of its pages."""

    def __init__(self, service: Service, url: str, session: aiohttp.ClientSession) -> None:
        self.service = service
        self.url = url
        self.session = session

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        async with self.session.get(self.url + path, headers=headers) as answer:
            return answer.status, await answer.text()

    async def post(self, path: str, **headers: str) -> int:
        given = {"headers": headers, "allow_redirects": False}
        async with self.session.post(self.url + path, **given) as answer:
            return answer.status


def looking(serving: Any, act: Callable[[Look], Awaitable[Any]]) -> Any:
    """Carry out `act` beside a service that runs, with its pages."""

    async def whole() -> Any:
        async with serving() as service:
            task = asyncio.create_task(service.run())
            try:
                site = Site(Status(service).application(), Address("127.0.0.1", 0))
                async with site, aiohttp.ClientSession() as session:
                    return await act(Look(service, site.url, session))
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    return asyncio.run(whole())
