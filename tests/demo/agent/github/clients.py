"""Two clients of the server: PyGithub as a second reader of its shapes, and plain requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState

TOKEN = "a-token"


def read(state: GitHubState, act: Callable[[Any], Any], token: str = TOKEN) -> Any:
    """Have PyGithub, in a thread, do something with a GitHub."""
    github = pytest.importorskip("github")

    async def whole(server: GitHubServer) -> Any:
        client = github.Github(
            base_url=server.url,
            auth=github.Auth.Token(token),
            retry=None,
            seconds_between_requests=0,
            seconds_between_writes=0,
        )
        try:
            return await asyncio.to_thread(act, client)
        finally:
            client.close()

    return serving(state, whole)


def serving(state: GitHubState, act: Callable[[GitHubServer], Awaitable[Any]]) -> Any:
    """Do something while a server is there."""

    async def whole() -> Any:
        async with GitHubServer(state, token=TOKEN) as server:
            return await act(server)

    return asyncio.run(whole())


async def ask(server: GitHubServer, method: str, path: str, given: Any = None) -> tuple[int, Any]:
    """Return the status and the JSON of an answer; a text is sent as it is."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    body = {"data": given} if isinstance(given, str) else {"json": given}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.request(method, server.url + path, **body) as answer,
    ):
        return answer.status, await answer.json()
