"""Two agents of one server: neither sees what the other has, whatever names it tries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

import onecopy
from onecopy.agents.grants.memory.segments import PREFIX
from tests.agents.attacks.whole import Whole, make_agent, whole

GRANTS = """
[grants.kv]
[grants.memory]
collections = ["notes", "notes-{name}"]
[grants.entries]
names = ["*"]
[[grants.tools]]
name = "tool-of-{name}"
[[grants.http]]
origin = "http://127.0.0.1:{port}"
method = "GET"
path = "/{name}"
headers = {{ Authorization = "Bearer env:TOKEN_{name}" }}
private = true
"""
TOKENS = {"TOKEN_one": "token-of-the-first-81ab", "TOKEN_two": "token-of-the-second-c7"}
TOLD = "what only the first agent was told"
# Keys, collections, tools, paths: what might lead from the second agent to the first.
NAMES = [
    "one", "../one", "../one/key", "/one/key", "one\0key", "one\0:s\0key", ":s", "\0", ".", "..",
    "..\\one\\key", "%2e%2e/one", "\uff0e\uff0e/one", "\u2025/one", "o\u0301ne", "\u202eeno",
    "one' OR '1'='1", "one\" --", "notes-one", "../notes-one", "one\0notes", "tool-of-one",
    "tool-of-one\0", "TOOL-OF-ONE", "key", "KEY", "\ufeffkey", "*", "%",
]  # fmt: skip


@asynccontextmanager
async def echoing() -> AsyncIterator[int]:
    """An HTTP server that says which headers it got."""

    async def echo(request: web.Request) -> web.Response:
        return web.json_response({"seen": request.headers.get("Authorization", "")[-6:]})

    app = web.Application()
    app.router.add_get("/{rest:.*}", echo)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


def test_neither_sees_what_the_other_has(tmp_path: Path, probe: Path, shared_folder: Path) -> None:
    async def act(store: str) -> None:
        async with echoing() as port:
            agents = [
                make_agent(tmp_path / name, probe, more=GRANTS.format(name=name, port=port))
                for name in ("one", "two")
            ]
            options: dict[str, Any] = {"module": "tests.agents.attacks.equipped", **TOKENS}
            served = whole(
                tmp_path / "state", *agents, "--store", store, cache=shared_folder, **options
            )
            async with served as server:
                await _filled(server, port)
                await _tried(server, port)

    with onecopy.start("agents", capacity="64MiB") as store:
        asyncio.run(act(store.name))


async def _filled(server: Whole, port: int) -> None:
    does = [
        ["set", "agent", "key", TOLD], ["set", "conversation", "key", TOLD],
        *(["set", "agent", each, TOLD] for each in NAMES if each != "key"),
        ["add", "notes", TOLD], ["add", "notes-one", TOLD], ["use", "tool-of-one", {"text": "a"}],
        ["fetch", f"http://127.0.0.1:{port}/one"], ["search", "notes", TOLD],
    ]  # fmt: skip
    answers = await server.answer("one", *does)
    assert not [each for each in answers if isinstance(each, dict)], answers
    assert answers[-4:-1] == ["added", "A", json.dumps({"seen": "t-81ab"})]
    assert answers[-1] == [TOLD]


async def _tried(server: Whole, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    nothing: list[Any] = [
        ["keys", "agent"], ["keys", "conversation"], ["search", "notes", TOLD],
        *([what, scope, name] for name in NAMES for scope in ("agent", "conversation")
          for what in ["get"]),
    ]  # fmt: skip
    refused = [
        ["search", "notes-one", TOLD], ["fetch", f"{url}/one"], ["fetch", f"{url}/two/../one"],
        ["fetch", f"{url}/%6fne"], ["read", f"{PREFIX}x/0"],
        *(["search", name, TOLD] for name in NAMES), *(["use", name, {}] for name in NAMES),
        *(["read", name] for name in NAMES),
    ]  # fmt: skip
    # What it has itself is there, and its own.
    own = [["fetch", f"{url}/two"], ["tools"], ["add", "notes", "mine"], ["search", "notes", TOLD]]
    for subject in ("s", "one", "s/one", "a.b"):
        do = [*nothing, *refused, *(own if subject == "a.b" else [])]
        entry = await server.end_of(await server.put("two", *do, subject=subject))
        assert entry.state == "done", entry.why
        (run,) = await server.ended_runs(entry.id)
        assert run.outcome is not None
        answers = json.loads(run.outcome.text)
        assert len(answers) == len(do)
        for asked, each in zip(nothing, answers, strict=False):
            assert each in (None, []), (asked, each)
        for asked, each in zip(refused, answers[len(nothing) :], strict=False):
            assert "refused" in each, (asked, each)
        everything = repr(run)
        assert not [each for each in TOKENS.values() if each in everything]
    assert answers[-4:] == [json.dumps({"seen": "ond-c7"}), ["tool-of-two"], "added", ["mine"]]


def test_subjects_and_deliveries_of_two_agents_have_nothing_to_do_with_each_other(
    tmp_path: Path, probe: Path, shared_folder: Path
) -> None:
    from tests.agents.attacks.filled import Held

    async def act() -> None:
        held = Held()
        async with held.serving() as grants:
            agents = [make_agent(tmp_path / each, probe, more=grants) for each in ("one", "two")]
            async with whole(tmp_path / "state", *agents, cache=shared_folder) as server:
                running = await server.put("one", ["fetch", f"{held.url}/x"], number=7)
                await held.was_asked("/x")
                # The same subject, number and body: it neither waits nor is a duplicate.
                status, _, told = await server.deliver("two", ["size"], number=8)
                assert (status, told["status"]) == (202, "new")
                assert (await server.end_of(told["id"])).state == "done"
                status, _, told = await server.deliver("one", ["size"], number=8)
                assert (status, told["status"]) == (202, "new")
                for subject in ("../s", "s/../t", "s\0", "\uff0e\uff0e/s", "s t", "", "s//t"):
                    status, _, _ = await server.deliver("two", ["size"], subject=subject)
                    assert status == 400, subject
                held.go.set()
                assert (await server.end_of(running)).state == "done"

    asyncio.run(act())
