"""GitHub fails at each of the bot's requests, in each way: there is one comment in the end."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from onecopy.demo.agent.github.fault import Fault
from onecopy.demo.agent.github.history import Versions
from tests.agents.attacks.bench import ORDERS, Bench, bench, review, say

# The first one builds and compiles the bot, which has all of Python in it.
pytestmark = pytest.mark.timeout(400)

REQUESTS = [
    ("GET", r".*/pulls/\d+"),
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


def cut_connections(there: Bench, patch: pytest.MonkeyPatch) -> list[Fault]:
    """Return a list of faults that end the connection instead of answering."""
    faults: list[Fault] = []
    answered = there.github._answered

    async def answer(request: web.Request, handler: Any) -> web.StreamResponse:
        for fault in faults:
            if fault.method == request.method and re.fullmatch(fault.path, request.path):
                faults.remove(fault)
                if fault.done:
                    await answered(request, handler)
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
        return await answered(request, handler)

    patch.setattr(there.github, "_answered", answer)
    return faults


def test_each_fault_at_each_request_ends_in_one_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one(there: Bench, cuts: list[Fault], request: tuple[str, str], way: str) -> None:
        pull = there.pull()
        method, path = request
        fault = Fault(method, path.replace(r"\d+", str(pull.number)), **WAYS[way])
        (there.github.faults if fault.status else cuts).append(fault)
        entry = await there.opened(pull, f"d-{pull.number}")
        said = f"{way} {request}: {entry.state} {entry.why}"
        comments = [each for each in there.state.comments if each.number == pull.number]
        lines = [each.line for each in there.state.line_comments if each.number == pull.number]
        assert (entry.state, len(comments), lines) == ("done", 1, [5, 6]), said
        assert fault not in (*there.github.faults, *cuts)

    async def whole() -> None:
        async with bench(tmp_path, fine) as there:
            cuts = cut_connections(there, monkeypatch)
            # One at a time where the request does not say whose it is.
            for way in WAYS:
                await one(there, cuts, ("GET", "/user"), way)
            await asyncio.gather(
                *(one(there, cuts, each, way) for each in REQUESTS for way in WAYS)
            )

    asyncio.run(whole())


LATER = [
    ("GET", r".*/compare/.*"),
    ("GET", r".*/issues/\d+/comments"),
    ("POST", r".*/pulls/\d+/comments"),
    ("PATCH", r".*/issues/comments/\d+"),
]


async def on_the_last_line(request: web.Request, asked: Any) -> web.StreamResponse:
    found = json.loads(review())["findings"][0]
    numbers = re.findall(r"^ *(\d+) \+", asked["messages"][-1]["content"], re.MULTILINE)
    number = int(numbers[-1]) if numbers else 5
    return await say(request, review(findings=[{**found, "line": number, "title": str(number)}]))


def test_each_fault_at_a_second_commit_leaves_one_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def one(there: Bench, cuts: list[Fault], request: tuple[str, str], way: str) -> None:
        pull = there.pull()
        assert (await there.opened(pull, f"d-{pull.number}")).state == "done"
        history, method, path = there.state.history, *request
        assert isinstance(history, Versions)
        lines = f"{ORDERS}    exec({pull.number})\n"
        pull.head = history.add({"a.py": "x = 2\n", "run.py": lines}, parent=pull.head)
        fault = Fault(method, path, **WAYS[way])
        (there.github.faults if fault.status else cuts).append(fault)
        status, answer = await there.hooks.pull_request("synchronize", pull, f"e-{pull.number}")
        assert status == 202
        entry = await there.end_of(answer["id"])
        said = f"{way} {request}: {entry.state} {entry.why}"
        comments = [each for each in there.state.comments if each.number == pull.number]
        placed = [each.line for each in there.state.line_comments if each.number == pull.number]
        assert (entry.state, len(comments), placed) == ("done", 1, [6, 7]), said
        assert pull.head[:7] in comments[0].body
        assert fault not in (*there.github.faults, *cuts)

    async def whole() -> None:
        async with bench(tmp_path, on_the_last_line) as there:
            cuts = cut_connections(there, monkeypatch)
            for request in LATER:
                for way in WAYS:
                    await one(there, cuts, request, way)

    asyncio.run(whole())
