"""GitHub fails at each of the bot's requests, in each way: there is one comment in the end."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from onecopy.demo.agent.github.server import Fault
from tests.agents.attacks.bench import Bench, bench, review, say

# The first one builds and compiles the bot, which has all of Python in it.
pytestmark = pytest.mark.timeout(400)

REQUESTS = [
    ("GET", r".*/pulls/\d+"),
    ("GET", "/user"),
    ("GET", r".*/issues/\d+/comments"),
    ("GET", r".*/pulls/\d+/files"),
    ("GET", r".*/pulls/\d+/comments"),
    ("POST", r".*/pulls/\d+/comments"),
    ("POST", r".*/issues/\d+/labels"),
    ("POST", r".*/issues/\d+/comments"),
]
ASKED_TO_WAIT = {"Retry-After": "1"}
SPENT = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}
WAYS: dict[str, dict[str, Any]] = {
    "before": {"status": 502},
    "after": {"status": 502, "done": True},
    "wait": {"status": 429, "headers": ASKED_TO_WAIT},
    "spent": {"status": 403, "headers": SPENT},
    "cut": {"status": 0},
    "cut after": {"status": 0, "done": True},
}


async def fine(request: web.Request, _: Any) -> web.StreamResponse:
    return await say(request, review())


def cut_connections(there: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a fault of status 0 end the connection instead of answering."""
    answered = there.github._answered

    async def answer(request: web.Request, handler: Any) -> web.StreamResponse:
        cuts: list[Fault] = [
            each
            for each in there.github.cuts  # type: ignore[attr-defined]
            if each.method == request.method and re.fullmatch(each.path, request.path)
        ]
        response = await answered(request, handler) if not cuts or cuts[0].done else web.Response()
        if cuts:
            there.github.cuts.remove(cuts[0])  # type: ignore[attr-defined]
            assert request.transport is not None
            request.transport.abort()
        return response

    there.github.cuts = []  # type: ignore[attr-defined]
    monkeypatch.setattr(there.github, "_answered", answer)


def test_each_fault_at_each_request_ends_in_one_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one(there: Bench, request: tuple[str, str], way: str) -> None:
        pull = there.pull()
        method, path = request
        fault = Fault(method, path.replace(r"\d+", str(pull.number)), **WAYS[way])
        (there.github.faults if fault.status else there.github.cuts).append(fault)  # type: ignore
        entry = await there.opened(pull, f"d-{pull.number}")
        said = f"{way} {request}: {entry.state} {entry.why}"
        comments = [each for each in there.state.comments if each.number == pull.number]
        lines = [each.line for each in there.state.line_comments if each.number == pull.number]
        assert (entry.state, len(comments), lines) == ("done", 1, [5, 6]), said
        assert fault not in (*there.github.faults, *there.github.cuts)  # type: ignore

    async def whole() -> None:
        async with bench(tmp_path, fine) as there:
            cut_connections(there, monkeypatch)
            for way in WAYS:
                for request in REQUESTS:
                    await one(there, request, way)

    asyncio.run(whole())
