"""Agents that a server runs, and servers for tests."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from onecopy.agents.manifest import Manifest
from onecopy.agents.queue.queue import Queue
from onecopy.agents.secrets import Secrets
from onecopy.agents.server.agent import ServedAgent
from onecopy.agents.server.resources import Resources
from onecopy.agents.server.service import Service

SECRET = "a secret of the webhook"
MANIFEST = """
[agent]
name = "actions"
component = "agent.wasm"
[limits]
attempts = 2
cpu_seconds = 0.2
[[triggers.webhook]]
path = "/hook"
signature = "github"
secret = "env:HOOK_SECRET"
[[triggers.webhook.on]]
kinds = ["asked.now"]
fields = { number = "number" }
where = { "skip" = "missing" }
subject = "thing#{number}"
[[triggers.cli]]
kinds = ["asked"]
fields = { number = "number" }
subject = "thing#{number}"
"""
_SECOND_BYTE = "(local.set $do (i32.load8_u offset=1 (local.get $at)))"
_BEHIND_MARK = """
(loop $next
  (local.set $do (i32.load8_u offset=1 (local.get $seek)))
  (if (i32.ne (i32.load8_u (local.get $seek)) (i32.const 33)) (then
    (local.set $seek (i32.add (local.get $seek) (i32.const 1)))
    (br_if $next (i32.lt_u (local.get $seek) (i32.add (local.get $at) (local.get $size))))
    (local.set $do (i32.const 0)))))
"""
_ANSWER = "      (call $answer (i32.const 0) (local.get $at) (local.get $size))))"


def make_agent(place: Path, *, answer: str = _ANSWER) -> Path:
    """Make the folder of an agent that does what is behind the ! in its event; see actions.wat.

    `answer` is how its function ends; by default it returns the event.
    """
    import wasmtime

    text = (Path(__file__).parents[1] / "worker/actions.wat").read_text()
    assert _SECOND_BYTE in text
    text = text.replace(_SECOND_BYTE, "(local.set $seek (local.get $at))" + _BEHIND_MARK)
    text = text.replace("(local $do i32)", "(local $do i32) (local $seek i32)", 1)
    assert text.count(_ANSWER) == 1
    text = text.replace(_ANSWER, answer)
    place.mkdir()
    (place / "agent.wasm").write_bytes(wasmtime.wat2wasm(text))
    (place / "agent.toml").write_text(MANIFEST)
    return place


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of an agent that does what its event says."""
    return make_agent(tmp_path / "agent")


@pytest.fixture
def manifest(folder: Path) -> Manifest:
    return Manifest.load(folder)


@pytest.fixture
def serving(manifest: Manifest, tmp_path: Path):
    """Makes services of that agent, all on the same files."""

    @asynccontextmanager
    async def make(**options: Any):
        queue = Queue.open(tmp_path / "state/events.sqlite", **options)
        secrets = Secrets({"HOOK_SECRET": SECRET})
        resources = Resources(tmp_path / "state", secrets=secrets)
        try:
            async with ServedAgent(manifest, resources) as agent:
                yield Service([agent], queue, resources)
        finally:
            await resources.close()
            await queue.close()

    return make
