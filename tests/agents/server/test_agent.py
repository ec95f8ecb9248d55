"""An agent of a server has what its manifest grants, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import onecopy
from onecopy.agents.calls import Call, Refused, Reply
from onecopy.agents.event import Event
from onecopy.agents.grants.memory.embedder import ENTRY
from onecopy.agents.manifest import Manifest
from onecopy.agents.outcome import ERROR, OK, Outcome
from onecopy.agents.records.run import Run
from onecopy.agents.secrets import Secrets
from onecopy.agents.server.agent import ServedAgent
from onecopy.agents.server.resources import Resources
from onecopy.errors import InvalidArgument
from onecopy.nn.backends.text.tokenizer import SUFFIX
from tests.agents.server.conftest import SECRET

GRANTS = """
[grants.kv]
[grants.entries]
names = ["docs/*"]
[grants.memory]
collections = ["notes"]
[[grants.http]]
origin = "https://api.example.com"
method = "GET"
path = "/things/{event.number}"
headers = { Authorization = "Bearer env:HOOK_SECRET" }
[grants.llm]
url = "https://llm.example.com/v1"
models = ["m"]
key = "env:HOOK_SECRET"
"""


def used(
    manifest: Manifest,
    folder: Path,
    act: Callable[[ServedAgent, Resources], Awaitable[Any]],
    **options: Any,
) -> Any:
    async def whole() -> Any:
        secrets = Secrets({"HOOK_SECRET": SECRET})
        watch = options.pop("watch", None)
        resources = Resources(folder / "state", secrets=secrets, **options)
        try:
            async with ServedAgent(manifest, resources, watch=watch) as agent:
                return await act(agent, resources)
        finally:
            await resources.close()

    return asyncio.run(whole())


def granted(manifest: Manifest, grants: str) -> Manifest:
    text = (manifest.folder / "agent.toml").read_text()
    return Manifest.parse(text + grants, manifest.folder)


def event(do: str) -> Event:
    return Event("e-1", "actions", "cli", "asked", "thing#1", {"number": "1"}, {"do": f"!{do}"})


def test_a_run_is_recorded_with_all_that_a_replay_needs(manifest: Manifest, tmp_path: Path) -> None:
    async def act(agent: ServedAgent, resources: Resources) -> tuple[Outcome, Run | None]:
        outcome = await agent.run(event("e"))
        await resources.records.flush()
        (summary,) = resources.records.runs()
        return outcome, resources.records.run(summary.id)

    outcome, run = used(manifest, tmp_path, act)
    assert run is not None
    assert outcome.status == OK
    assert (run.event.payload, run.outcome) == ({"do": "!e"}, outcome)
    assert len(run.seed) == 32
    assert len(run.component) == 64
    assert run.inexact == ""


def test_nothing_is_granted_unless_the_manifest_says_so(manifest: Manifest, tmp_path: Path) -> None:
    seen: list[tuple[Call, Reply]] = []

    async def act(agent: ServedAgent, resources: Resources) -> Outcome:
        return await agent.run(event("c"))

    outcome = used(manifest, tmp_path, act, watch=lambda *told: seen.append(told[:2]))
    assert outcome.status == ERROR
    assert "[grants.llm]" in outcome.text
    ((call, reply),) = seen
    assert call.name == "llm.chat"
    assert reply.error is not None
    assert reply.error.code == "not-granted"


def test_each_grant_is_a_capability(manifest: Manifest, tmp_path: Path) -> None:
    with onecopy.start(f"agents-{tmp_path.name}", capacity="64MiB") as store:
        store.save("docs/a", "a text")
        store.save("other", "not granted")
        store.save(ENTRY, "no model, and nobody asks it")
        store.save(ENTRY + SUFFIX, "no tokenizer")

        async def act(agent: ServedAgent, resources: Resources) -> None:
            recorder = resources.records.begin(event("e"), seed=b"", time_ns=0)
            found = agent.capabilities(event("e"), recorder)
            assert set(found) == {"kv", "entries", "memory", "http", "llm"}
            assert await found["entries"].call("names", [""]) == ["docs/a"]
            assert await found["entries"].call("read", ["docs/a"]) == "a text"
            await found["kv"].call("set", ["conversation", "k", "v"])
            assert await found["kv"].call("get", ["conversation", "k"]) == "v"
            recorder.end(Outcome(OK, ""))

        used(granted(manifest, GRANTS), tmp_path, act, store=store)


REQUEST = """
[[grants.tools]]
name = "thing"
description = "Look at the thing of the event."
[grants.tools.request]
origin = "http://127.0.0.1:PORT"
method = "GET"
path = "/things/{event.number}"
headers = { Authorization = "Bearer env:HOOK_SECRET" }
private = true
"""


def test_a_tool_that_the_manifest_describes_is_bound_to_the_event(
    manifest: Manifest, tmp_path: Path
) -> None:
    async def act(agent: ServedAgent, resources: Resources) -> str:
        recorder = resources.records.begin(event("e"), seed=b"", time_ns=0)
        found = agent.capabilities(event("e"), recorder)
        assert set(found) == {"tools"}
        (shown,) = json.loads(await found["tools"].call("describe", []))
        assert shown["function"]["name"] == "thing"
        with pytest.raises(Refused) as caught:
            await found["tools"].call("call", ["thing", "{}"])
        recorder.end(Outcome(OK, ""))
        return caught.value.refusal.code

    # Nobody listens at port 1, which is as far as it gets.
    grants = REQUEST.replace("PORT", "1")
    assert used(granted(manifest, grants), tmp_path, act) == "unavailable"


@pytest.mark.parametrize(
    "grants", ['[grants.entries]\nnames = ["a"]', '[grants.memory]\ncollections = ["a"]',
               '[grants.llm]\nmodel = "store:m"']
)  # fmt: skip
def test_what_needs_a_store_says_so_at_the_start(
    manifest: Manifest, tmp_path: Path, grants: str
) -> None:
    async def act(agent: ServedAgent, resources: Resources) -> None:
        raise AssertionError("it started")

    with pytest.raises(InvalidArgument, match="--store NAME"):
        used(granted(manifest, grants), tmp_path, act)


def test_a_missing_secret_of_a_grant_is_noticed_at_the_start(
    manifest: Manifest, tmp_path: Path
) -> None:
    key = Manifest.parse(
        '[agent]\nname = "x"\ncomponent = "agent.wasm"\n[grants.llm]\nkey = "env:LLM_KEY"\n'
        'url = "https://llm.example.com/v1"\nmodels = ["m"]\n',
        manifest.folder,
    )

    async def start(manifest: Manifest) -> None:
        resources = Resources(tmp_path / "state", secrets=Secrets({}))
        try:
            ServedAgent(manifest, resources)
        finally:
            await resources.close()

    with pytest.raises(InvalidArgument, match="LLM_KEY"):
        asyncio.run(start(key))
    asyncio.run(start(manifest))  # Its webhook's secret is for who takes webhooks.


def test_an_agent_that_was_not_entered_does_not_run(manifest: Manifest, tmp_path: Path) -> None:
    async def start() -> None:
        resources = Resources(tmp_path / "state", secrets=Secrets({"HOOK_SECRET": SECRET}))
        try:
            await ServedAgent(manifest, resources).run(event("e"))
        finally:
            await resources.close()

    with pytest.raises(InvalidArgument, match="async with"):
        asyncio.run(start())


def test_the_event_has_the_settings_of_the_manifest(manifest: Manifest, tmp_path: Path) -> None:
    async def act(agent: ServedAgent, resources: Resources) -> Outcome:
        return await agent.run(event("e"))

    settings = "[settings]\nname = 'value'\n"
    outcome = used(granted(manifest, settings), tmp_path, act)
    assert json.loads(outcome.text)["settings"] == {"name": "value"}
