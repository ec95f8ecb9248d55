"""An endpoint on 127.0.0.1 that sends what a test says, byte for byte."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

SSE = "Content-Type: text/event-stream"


def event(**chunk: Any) -> bytes:
    """One event."""
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(finish: str | None = None, **fields: Any) -> bytes:
    """An event that has more of the answer."""
    return event(id="c1", choices=[{"index": 0, "delta": fields, "finish_reason": finish}])


def usage(asked: int, answered: int) -> bytes:
    """The event that says what was counted."""
    return event(choices=[], usage={"prompt_tokens": asked, "completion_tokens": answered})


DONE = b"data: [DONE]\n\n"
HELLO = delta(role="assistant", content="") + delta(content="Hel") + delta(content="lo ü")
HELLO += delta("stop") + usage(7, 3) + DONE


@dataclass
class Said:
    """One response: pieces of its body, after which the connection is closed."""

    pieces: Sequence[bytes] = (HELLO,)
    status: int = 200
    headers: tuple[str, ...] = (SSE,)
    cut: bool = False
    """Whether it ends without the end that its encoding has."""
    hangs: bool = False
    """Whether it goes on for ever, without another byte."""


@dataclass
class Server:
    """What it says next, and what it was asked."""

    says: list[Said] = field(default_factory=lambda: [Said()])
    requests: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    url: str = ""
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection with one response; the last one is said for ever."""
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            body = json.loads(await reader.readexactly(int(headers["Content-Length"])))
            self.requests.append((headers, body))
            said = self.says.pop(0) if len(self.says) > 1 else self.says[0]
            await self._say(said, writer)
            self.arrived.set()
            if said.hangs:
                await reader.read()
        writer.close()

    async def _say(self, said: Said, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {said.status} X", *said.headers, "Transfer-Encoding: chunked"]
        writer.write(("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode())
        for piece in filter(None, said.pieces):
            writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await writer.drain()
        if not said.cut and not said.hangs:
            writer.write(b"0\r\n\r\n")
        await writer.drain()


@contextlib.asynccontextmanager
async def serving(*says: Said) -> AsyncIterator[Server]:
    """A server that says these one after another."""
    server = Server(list(says) or [Said()])
    listener = await asyncio.start_server(server.answer, "127.0.0.1", 0, limit=1 << 24)
    host, port = listener.sockets[0].getsockname()[:2]
    server.url = f"http://{host}:{port}/v1"
    try:
        yield server
    finally:
        listener.close()
        await listener.wait_closed()


def split(data: bytes, places: Iterable[int]) -> list[bytes]:
    """Cut bytes at these places."""
    cuts = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(cuts)]
