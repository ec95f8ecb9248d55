"""A whole server on a disk that gets full: python -m tests.agents.attacks.filled WHAT DISK …

It is run where the disk is mounted; what is not as it should be ends it with a traceback.
"""

from __future__ import annotations

import asyncio
import errno
import json
import resource
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.agents.attacks.whole import Whole, make_agent, whole

GRANTS = """
[grants.kv]
[[grants.http]]
origin = "http://127.0.0.1:{port}"
method = "GET"
path = "/{{name}}"
private = true
"""
TEXT = "x" * 200_000
PAGES = ("/", "/runs", "/events", "/metrics")


class Held:
    """An HTTP server that answers once it is told to."""

    def __init__(self) -> None:
        self._asked: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.go = asyncio.Event()
        self.url = ""

    async def was_asked(self, path: str) -> None:
        await self._asked[path].wait()

    async def answer(self, request: web.Request) -> web.Response:
        self._asked[request.path].set()
        await self.go.wait()
        return web.Response(text="held")

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/{name}", self.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            port = runner.addresses[0][1]
            self.url = f"http://127.0.0.1:{port}"
            yield GRANTS.format(port=port)
        finally:
            await runner.cleanup()


def fill(disk: Path) -> Path:
    """Leave no byte on a disk; return the file that is to be removed."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return filler


async def send(server: Whole, number: int) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Send an event of 200 kB, of one of three subjects: a newer one supersedes what waits."""
    return await server.deliver("one", ["size"], subject=f"s{number % 3}", number=number, text=TEXT)


async def send_many(server: Whole) -> tuple[list[str], list[int]]:
    """Send more than fits; return what was accepted, and the numbers of what was not."""
    accepted, refused = [], []
    for number in range(1000, 1060):
        status, headers, told = await send(server, number)
        assert status in (202, 503), told
        if status == 202:
            accepted.append(told["id"])
        else:
            assert int(headers["Retry-After"]) > 0
            refused.append(number)
        if len(refused) == 9:
            break
    assert refused
    return accepted, refused


async def all_done(server: Whole, accepted: list[str], refused: list[int]) -> None:
    """All that was accepted ends; what was refused is accepted now, and ends as well."""
    for number in refused:
        status, _, told = await send(server, number)
        # What failed in the very commit may be there after all.
        assert status == 202, told
        assert told["status"] in ("new", "duplicate")
        accepted.append(told["id"])
    for event in accepted:
        assert (await server.end_of(event)).state in ("done", "superseded"), server.log


async def everything(there: Place, held: Held) -> None:
    """Nothing can be written: neither events, nor records, nor values."""
    async with there.server(there.disk / "state") as server:
        assert await server.answer("one", ["set", "agent", "a", 1]) == ["set"]
        set_large = ["set", "agent", "b", "y" * 500_000]
        fetch, fetch_more = (["fetch", f"{held.url}/{name}"] for name in "xy")
        do = [fetch, set_large, ["get", "agent", "a"], fetch_more]
        running = await server.put("one", *do, subject="held")
        await held.was_asked("/x")
        filler = fill(there.disk)
        accepted, refused = await send_many(server)
        for page in PAGES:
            assert await server.page(page) in (200, 503), page
        held.go.set()
        await held.was_asked("/y")
        filler.unlink()
        await all_done(server, accepted, refused)
        answers = json.loads((await server.end_of(running)).why)
        assert answers[0] == "held"
        assert answers[1]["refused"].startswith("Unavailable: kv.sqlite"), answers
        assert answers[2] == 1
        assert await server.answer("one", ["set", "agent", "b", 2]) == ["set"]
        # Thousands may ask while there is no room: the log is not to be what fills the next disk.
        assert len(server.said) < 30, server.log


async def killed(there: Place, held: Held) -> None:
    """The server is killed while nothing can be written; another one begins when there is room."""
    async with there.server(there.disk / "state") as server:
        running = await server.put("one", ["fetch", f"{held.url}/x"], subject="held")
        await held.was_asked("/x")
        filler = fill(there.disk)
        accepted, refused = await send_many(server)
    held.go.set()
    filler.unlink()
    async with there.server(there.disk / "state") as server:
        await all_done(server, [running, *accepted], refused)


async def records(there: Place, held: Held) -> None:
    """Only records cannot be written: events go on, and records say what they lack."""
    held.go.set()
    state = there.disk.parent / "state"
    state.mkdir(mode=0o700)
    (state / "records.sqlite").symlink_to(there.disk / "records.sqlite")
    async with there.server(state) as server:
        filler = fill(there.disk)
        accepted = [
            await server.put("one", ["fetch", f"{held.url}/x"], text=TEXT) for _ in range(40)
        ]
        for event in accepted:
            assert (await server.end_of(event)).state in ("done", "superseded")
        filler.unlink()
        event = await server.put("one", ["fetch", f"{held.url}/x"])
        assert (await server.end_of(event)).state == "done"
        assert not (await server.ended_runs(event))[0].inexact
        assert len(server.said) < 30, server.log


async def limited(there: Place, held: Held) -> None:
    """Files cannot grow, which is told as an error that is none of a full disk."""
    there.disk.mkdir()
    async with there.server(there.disk / "state") as server:
        running = await server.put("one", ["fetch", f"{held.url}/x"], subject="held")
        await held.was_asked("/x")
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (5 << 20, hard))
        accepted, refused = await send_many(server)
        held.go.set()
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (hard, hard))
        await all_done(server, [running, *accepted], refused)
        assert len(server.said) < 30, server.log


@dataclass
class Place:
    """The disk, and what a server needs beside it."""

    disk: Path
    agent: Path
    cache: Path

    def server(self, state: Path) -> AbstractAsyncContextManager[Whole]:
        """Run a server until the block is left."""
        return whole(state, self.agent, cache=self.cache)


async def main() -> None:
    what, disk, component, cache = sys.argv[1], *map(Path, sys.argv[2:])
    held = Held()
    async with held.serving() as grants:
        agent = make_agent(disk.parent / "one", component, more=grants)
        await globals()[what](Place(disk, agent, cache), held)


if __name__ == "__main__":
    asyncio.run(main())
