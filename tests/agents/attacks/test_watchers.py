"""Hundreds that watch a run on the status page and never read: they are dropped, others served."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.agents.attacks.filled import Held
from tests.agents.attacks.whole import Whole, make_agent, whole

MANY = 300
GROWTH = 120 << 20
"""Of the server's memory; a record of 8 MB is asked for by each of them."""


@contextmanager
def connected(url: str, path: str) -> Iterator[socket.socket]:
    """Ask for a page, and read nothing of it."""
    place = urlsplit(url)
    with socket.socket() as each:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        each.connect((place.hostname, place.port))
        try:
            each.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        except ConnectionError:
            pass  # there are too many already
        yield each


def test_who_never_reads_is_dropped_and_costs_little(
    tmp_path: Path, probe: Path, shared_folder: Path
) -> None:
    async def act() -> None:
        held = Held()
        async with held.serving() as grants:
            agent = make_agent(tmp_path / "one", probe, limits='log = "64MiB"', more=grants)
            served = whole(
                tmp_path / "state",
                agent,
                cache=shared_folder,
                module="tests.agents.attacks.impatient",
            )
            async with served as server:
                await _watched(server, held)

    asyncio.run(act())


async def _watched(server: Whole, held: Held) -> None:
    do = [["say", 1000, 8000], ["fetch", f"{held.url}/x"]]
    event = await server.put("one", *do, subject="watched")
    await held.was_asked("/x")
    while not (found := server.runs(event)) or len(found[0].items) < 1000:
        await asyncio.sleep(0.05)
    files, before = server.files, server.peak
    server.forget_peak()
    path = f"/runs/{found[0].summary.id}/live"
    watchers = [connected(server.status, path) for _ in range(MANY)]
    with contextlib.ExitStack() as stack:
        for each in watchers:
            stack.enter_context(each)
        assert await server.answer("one", ["size"]) == [1]
        while server.files > files + 5:  # until they are dropped
            await asyncio.sleep(0.05)
        assert await server.page("/") == 200
        assert await server.page("/metrics") == 200
        assert server.peak - before < GROWTH
    held.go.set()
    assert (await server.end_of(event)).state == "done"
    assert "Traceback" not in server.log
