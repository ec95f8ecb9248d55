"""Strangers at the webhooks: who is slow, large, many or odd is turned away, and others served."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from onecopy.agents.manifest import Manifest
from onecopy.agents.queue.queue import Queue
from onecopy.agents.secrets import Secrets
from onecopy.agents.server.bodies import Bodies
from onecopy.agents.server.site import Address, Site
from onecopy.agents.server.webhooks import Webhooks
from tests.agents.server.conftest import MANIFEST, SECRET
from tests.agents.server.test_webhooks import signed

BODY = b'{"number": 7, "action": "now"}'
HEAD = "POST /hook HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: asked\r\nX-GitHub-Delivery: d-1\r\n"


@asynccontextmanager
async def served(
    path: Path, bodies: Bodies | None = None, **options: Any
) -> AsyncIterator[tuple[Site, Queue]]:
    queue = Queue.open(path / "state" / "events.sqlite")
    try:
        manifest = Manifest.parse(MANIFEST, path)
        hooks = Webhooks([manifest], queue, Secrets({"HOOK_SECRET": SECRET}), bodies)
        async with Site(hooks.application(), Address("127.0.0.1", 0), **options) as site:
            yield site, queue
    finally:
        await queue.close()


async def connected(site: Site) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = site.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port))


async def said(site: Site, sent: bytes) -> bytes:
    """Send bytes, and return all that comes until the server closes the connection."""
    reader, writer = await connected(site)
    writer.write(sent)
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def whole(body: bytes, *more: str, signature: str | None = None) -> bytes:
    lines = [f"X-Hub-Signature-256: {signature or signed(body)}", *more, "Connection: close"]
    length = [] if any("Transfer" in each for each in more) else [f"Content-Length: {len(body)}"]
    return (HEAD + "\r\n".join([*lines, *length]) + "\r\n\r\n").encode() + body


def run(path: Path, act: Callable[[Site, Queue], Awaitable[Any]], *given: Any, **more: Any) -> Any:
    async def all() -> Any:
        async with served(path, *given, **more) as (site, queue):
            return await act(site, queue)

    return asyncio.run(all())


@pytest.mark.parametrize("sent", [b"", b"POST /ho", HEAD.encode()])
def test_a_head_that_does_not_come_ends_the_connection(tmp_path: Path, sent: bytes) -> None:
    async def act(site: Site, _: Queue) -> bytes:
        return await said(site, sent)

    assert run(tmp_path, act, patience=0.05) == b""


def test_a_body_that_does_not_come_ends_the_request(tmp_path: Path) -> None:
    async def act(site: Site, _: Queue) -> bytes:
        return await said(site, whole(BODY)[:-1])

    answer = run(tmp_path, act, Bodies(seconds=0.05), patience=1)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_who_holds_connections_leaves_files_for_others(tmp_path: Path) -> None:
    async def act(site: Site, _: Queue) -> bytes:
        held = [await connected(site) for _ in range(3)]
        for reader, _writer in held[:2]:
            assert not reader.at_eof()
        try:
            assert await held[2][0].read() == b""
        except ConnectionResetError:
            pass
        for _reader, writer in held:
            writer.close()
            try:
                await writer.wait_closed()
            except ConnectionResetError:
                pass
        while not (answer := await said(site, whole(BODY))):
            pass
        return answer

    assert run(tmp_path, act, connections=2).startswith(b"HTTP/1.1 202 ")


def test_bodies_of_all_together_are_limited(tmp_path: Path) -> None:
    async def act(site: Site, _: Queue) -> tuple[bytes, bytes]:
        _, writer = await connected(site)
        writer.write(whole(BODY)[:-5])
        refused = b"HTTP/1.1 202 "
        while refused.startswith(b"HTTP/1.1 202 "):  # until the server has read what waits
            refused = await said(site, whole(BODY))
        writer.close()
        while (taken := await said(site, whole(BODY))).startswith(b"HTTP/1.1 503 "):
            pass
        return refused, taken

    refused, taken = run(tmp_path, act, Bodies(most=len(BODY) + 5))
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: " in refused
    assert taken.startswith(b"HTTP/1.1 202 ")


def test_a_body_that_would_unpack_to_much_is_not_unpacked(tmp_path: Path) -> None:
    body = gzip.compress(b" " * (64 << 20))
    assert len(body) < 1 << 20

    async def act(site: Site, _: Queue) -> bytes:
        return await said(site, whole(body, "Content-Encoding: gzip"))

    assert run(tmp_path, act).startswith(b"HTTP/1.1 400 ")


CHUNKED = "Transfer-Encoding: chunked"
ODD = {
    "chunks that are none": (whole(b"x\r\n\r\n", CHUNKED), b"400"),
    "chunks that begin well": (whole(b"1\r\n{\r\nx\r\n\r\n", CHUNKED), b"400"),
    "chunks without end": (whole(b"200000\r\n" + b"x" * 0x200000, CHUNKED), b"413"),
    "two lengths": (whole(BODY, "Content-Length: 5"), b"400"),
    "length and chunks": (whole(b"0\r\n\r\n", CHUNKED, "Content-Length: 5"), b"400"),
    "two signatures": (whole(BODY, f"X-Hub-Signature-256: {signed(BODY)}"), b"401"),
    "two ids": (whole(BODY, "X-GitHub-Delivery: d-2"), b"401"),
    "deep": (whole(b'{"number":' + b"[" * 100_000), b"400"),
    "a huge number": (whole(b'{"action": "now", "number": ' + b"9" * 100_000 + b"}"), b"400"),
    "infinite": (whole(b'{"action": "now", "number": 1e9999}'), b"400"),
    "half a character": (whole(b'{"action": "now", "number": "\\ud800"}'), b"400"),
    "two of one key": (whole(b'{"number": 1, "action": "now", "number": "../x"}'), b"400"),
    "not text": (whole(b'{"number": 7, "action": "\xff"}'), b"400"),
    "an unknown encoding": (whole(BODY, "Content-Encoding: br2"), b"202"),
    "not packed": (whole(BODY, "Content-Encoding: gzip"), b"202"),
    "another method": (whole(BODY).replace(b"POST", b"OPTIONS", 1), b"405"),
    "a path in code": (whole(BODY).replace(b"/hook", b"/%68ook", 1), b"202"),
    "a path with dots": (whole(BODY).replace(b"/hook", b"/x/../hook", 1), b"404"),
    "another host": (whole(BODY).replace(b"/hook", b"http://evil.test/hook", 1), b"202"),
}


@pytest.mark.parametrize("sent", ODD)
def test_odd_requests_are_refused_and_the_next_is_served(
    tmp_path: Path, sent: str, caplog: pytest.LogCaptureFixture
) -> None:
    data, status = ODD[sent]
    another = whole(b'{"number": 8, "action": "now"}').replace(b"d-1", b"d-9", 1)

    async def act(site: Site, queue: Queue) -> tuple[bytes, dict[str, int], bytes]:
        answer = await said(site, data)
        return answer, await queue.counts(), await said(site, another)

    answer, found, next_answer = run(tmp_path, act, patience=1)
    assert answer[9:12] == status, answer[:300]
    assert next_answer.startswith(b"HTTP/1.1 202 ")
    assert sum(found.values()) == (status == b"202")
    assert not caplog.text  # strangers must not fill the log


def test_a_sender_that_breaks_off_leaves_nothing_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def act(site: Site, _: Queue) -> bytes:
        reader, writer = await connected(site)
        writer.write(whole(BODY, "Expect: 100-continue")[: -len(BODY)])
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"  # it waits for the body
        writer.write(BODY[:5])
        await writer.drain()
        writer.transport.abort()
        return await said(site, whole(BODY))

    assert run(tmp_path, act).startswith(b"HTTP/1.1 202 ")
    assert not caplog.text
