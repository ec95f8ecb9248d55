"""Servers that drip, never end their headers or never stop: runs end at limits, others go on."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.agents.attacks.whole import Whole, make_agent, whole

HEAD = b"HTTP/1.1 200 OK\r\n"
STREAM = b"Content-Type: text/event-stream\r\nConnection: close\r\n\r\n"
BLOCK = b"x" * (1 << 20)
GIGABYTE = 1 << 30
GROWTH = 150 << 20
"""Of the server's memory, with twenty of these at once; each sends a gigabyte if it may."""
ONCE = "attempts = 1"
LATE = "Timeout: "
GRANTS = """
[grants.llm]
url = "http://127.0.0.1:{port}/v1"
models = ["m"]
private = true
timeout = {seconds}

[[grants.http]]
origin = "http://127.0.0.1:{port}"
method = "GET"
path = "/{{name}}"
private = true
timeout = {seconds}
"""
Send = Callable[[bytes], Awaitable[None]]


async def drip(send: Send) -> None:
    await send(HEAD + STREAM)
    while True:
        await send(b"x")
        await asyncio.sleep(1)


async def drip_headers(send: Send) -> None:
    for byte in itertools.chain(HEAD, itertools.cycle(b"x: y\r\n")):
        await send(bytes([byte]))
        await asyncio.sleep(1)


async def headers_without_end(send: Send) -> None:
    await send(HEAD)
    for number in range(GIGABYTE // 2048):
        await send(b"".join(b"x-%d-%d: %s\r\n" % (number, n, b"y" * 20) for n in range(64)))


async def one_header_without_end(send: Send) -> None:
    await send(HEAD + b"x-long: ")
    for _ in range(GIGABYTE // len(BLOCK)):
        await send(BLOCK)


async def gigabyte(send: Send) -> None:
    await send(HEAD + STREAM)
    for _ in range(GIGABYTE // len(BLOCK)):
        await send(BLOCK)


async def announced_gigabyte(send: Send) -> None:
    await send(HEAD + b"Content-Length: %d\r\n" % GIGABYTE + STREAM)
    for _ in range(GIGABYTE // len(BLOCK)):
        await send(BLOCK)


async def gigabyte_of_events(send: Send) -> None:
    await send(HEAD + STREAM)
    for _ in range(GIGABYTE // len(BLOCK)):
        await send(b'data: {"choices": [{"delta": {"content": "%s"}}]}\n\n' % BLOCK)


async def nothing(_: Send) -> None:
    await asyncio.Event().wait()


# What a call is refused with, of a guest's own request and of one to a model.
ENDLESS = {
    drip: (LATE, LATE),
    drip_headers: (LATE, LATE),
    nothing: (LATE, LATE),
    headers_without_end: ("Failed: ", "Unavailable: "),
    one_header_without_end: ("Failed: ", "Unavailable: "),
    gigabyte: ("TooLarge: ", "TooLarge: "),
    announced_gigabyte: ("TooLarge: ", "TooLarge: "),
    gigabyte_of_events: ("TooLarge: ", "TooLarge: "),
}
NAMES = {each.__name__: each for each in ENDLESS}


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serve all of them, each at its name; an endpoint is what its prompt names."""
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if asked.startswith(b"POST"):
            asked = await reader.readuntil(b"}]")
        name = next(each for each in sorted(NAMES, key=len)[::-1] if each.encode() in asked)

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            with contextlib.suppress(ConnectionError):
                await NAMES[name](send)
        finally:
            writer.transport.abort()

    def accepted(*both: Any) -> None:
        talks.add(asyncio.create_task(talk(*both)))

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for each in talks:
            each.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def test_calls_and_runs_end_at_their_limits_and_others_go_on(
    tmp_path: Path, probe: Path, shared_folder: Path
) -> None:
    async def act() -> None:
        async with serving() as port:
            short, long = (GRANTS.format(port=port, seconds=each) for each in (1, 600))
            # A limit of a second is only for what never comes to an end by itself.
            agents = [
                make_agent(tmp_path / "calls", probe, limits=ONCE, more=short),
                make_agent(tmp_path / "runs", probe, limits=f"{ONCE}\nseconds = 1", more=long),
                make_agent(tmp_path / "patient", probe, limits=ONCE, more=long),
            ]
            async with whole(tmp_path / "state", *agents, cache=shared_folder) as server:
                await _attacked(server, f"http://127.0.0.1:{port}")

    asyncio.run(act())


async def _attacked(server: Whole, url: str) -> None:
    before = server.peak
    server.forget_peak()
    expected = {}
    for name, refusals in zip(NAMES, ENDLESS.values(), strict=True):
        for do, refusal in zip((["fetch", f"{url}/{name}"], ["chat", name]), refusals, strict=True):
            agent = "calls" if refusal == LATE else "patient"
            event = await server.put(agent, do, subject=f"{do[0]}-{name}")
            expected[event] = do, refusal
    late = [
        await server.put("runs", ["fetch", f"{url}/{name}"], subject=name)
        for name in ("drip", "drip_headers", "nothing")
    ]
    late.append(await server.put("runs", ["chat", "drip"], subject="chat"))
    assert await server.answer("patient", ["size"]) == [1]
    for event, (do, refusal) in expected.items():
        entry = await server.end_of(event)
        (told,) = json.loads(entry.why)
        assert told["refused"].startswith(refusal), (do, told)
    for event in late:
        entry = await server.end_of(event)
        assert (entry.state, "did not end within 1 s" in entry.why) == ("dead", True), entry.why
    assert server.peak - before < GROWTH
    assert await server.answer("patient", ["size"]) == [1]
