"""The server is killed again and again: what it accepted ends once, with one comment."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import sys
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from onecopy.demo.agent.github.history import Versions
from onecopy.demo.agent.github.hooks import Hooks
from onecopy.demo.agent.github.server import GitHubServer
from onecopy.demo.agent.github.state import GitHubState
from tests.agents.attacks.bench import ENDED, HOOK_SECRET, TOKEN, Llm, bot, opened, review, say

# The first one builds and compiles the bot, which has all of Python in it.
pytestmark = pytest.mark.timeout(400)

ROUNDS = 4
PULLS = 3


async def slow(request: web.Request, _: Any) -> web.StreamResponse:
    await asyncio.sleep(random.random() / 5)
    return await say(request, review())


class Child:
    """A server, from its start until it is killed."""

    def __init__(self, place: Path, state: Path) -> None:
        self._arguments = ["-m", "tests.agents.attacks.serving", str(place), str(state)]

    async def __aenter__(self) -> Child:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, *self._arguments, stdout=asyncio.subprocess.PIPE
        )
        assert self._process.stdout is not None
        self.url = (await self._process.stdout.readline()).decode().strip()
        assert self.url
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.kill()
        await self._process.wait()


async def deliver(hooks: Hooks, pull: Any, delivery: str) -> str | None:
    """Return the id under which a delivery was accepted, if the server lived to say so."""
    try:
        status, answer = await hooks.pull_request("opened", pull, delivery)
    except (aiohttp.ClientError, OSError):
        return None
    assert status == 202, answer
    return str(answer["id"])


def states(file: Path) -> dict[str, str]:
    with sqlite3.connect(file) as db:
        found = dict(db.execute("SELECT id, state FROM events").fetchall())
    db.close()
    return found


async def until_ended(file: Path, accepted: set[str]) -> None:
    while {(found := states(file)).get(each) for each in accepted} - set(ENDED):
        assert accepted <= set(found), "one that was accepted is lost"
        await asyncio.sleep(0.05)


def test_what_was_accepted_ends_once_however_often_the_server_is_killed(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")  # shown if it fails
    random.seed(seed)
    asyncio.run(_killed(tmp_path))


async def _killed(folder: Path) -> None:
    file = folder / "state" / "events.sqlite"
    async with AsyncExitStack() as stack:
        llm = Llm(slow)
        await llm.serve(stack)
        state = GitHubState(Versions())
        github = await stack.enter_async_context(GitHubServer(state, token=TOKEN))
        place = bot(folder, github.url, llm.url)
        accepted: set[str] = set()
        for _ in range(ROUNDS):
            async with Child(place, folder / "state") as child:
                hooks = Hooks(github, f"{child.url}/github", HOOK_SECRET)
                # The first of a pull request is accepted, killed, and run again; later ones are
                # superseded, or see that there is nothing to do.
                pulls = [*state.pulls.values()][-1:] + [opened(state) for _ in range(PULLS)]
                sends = [deliver(hooks, p, f"{p.number}-{len(accepted)}") for p in pulls]
                waits = asyncio.gather(*sends)
                await asyncio.sleep(random.random() * 0.6)
            accepted |= {each for each in await waits if each}
        async with Child(place, folder / "state"):
            await until_ended(file, accepted)
        comments = Counter(each.number for each in state.comments)
        lines = Counter((each.number, each.line) for each in state.line_comments)
        assert set(comments.values()) == {1}
        assert set(lines.values()) == {1}
