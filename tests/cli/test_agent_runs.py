"""`agent runs`, `agent events`: what happened, also where nothing did."""

from __future__ import annotations

import asyncio
import json

import pytest

from onecopy.agents.manifest import Manifest
from onecopy.agents.queue.queue import Queue
from onecopy.agents.server.service import queued
from tests.cli.agents import Agent
from tests.cli.commands import refused, run


@pytest.fixture
def agent(tmp_path):
    return Agent(tmp_path)


def put(agent: Agent, *, dead: bool) -> str:
    """Have an event in the queue, and return its id."""

    async def act() -> str:
        manifest = Manifest.load(agent.folder)
        agent.kept.mkdir(mode=0o700, exist_ok=True)
        queue = Queue.open(agent.kept / "events.sqlite")
        try:
            draft = queued(manifest, manifest.bind_cli("asked", {"number": 1}), "cli")
            event = (await queue.put(draft, "first")).id
            if dead:
                await queue.dead(event, "it was no good")
            return event
        finally:
            await queue.close()

    return asyncio.run(act())


def test_runs_are_listed_and_shown_with_all_they_did(agent):
    done, failed = agent.run("W"), agent.run("t", code=1)
    table = run("agent", "runs", *agent.state).stdout
    assert table.index(failed) < table.index(done)
    assert failed not in run("agent", "runs", "--status", "ok", *agent.state).stdout
    shown = run("agent", "runs", done, *agent.state).stdout
    assert f"run      {done} of actions, attempt 1" in shown
    assert "# {" in shown
    assert "answer   {" in shown
    assert json.loads(run("agent", "runs", done, "--json", *agent.state).stdout)["seed"]


def test_events_are_listed_by_what_became_of_them(agent):
    event = put(agent, dead=True)
    assert "it was no good" in run("agent", "events", "--in", "dead", *agent.state).stdout
    assert event not in run("agent", "events", "--in", "done", *agent.state).stdout


def test_a_dead_event_is_revived_once(agent):
    event = put(agent, dead=True)
    assert "waits for the next server" in run("agent", "revive", event, *agent.state).stdout
    assert event in run("agent", "events", "--in", "queued", *agent.state).stdout
    assert "--in dead" in refused("agent", "revive", event, *agent.state)


@pytest.mark.parametrize("words", [("runs",), ("events",), ("revive", "x"), ("replay", "x")])
def test_a_folder_in_which_nothing_happened_yet_says_what_makes_it(agent, words):
    assert "--state names its folder" in refused("agent", *words, *agent.state)


def test_what_no_run_or_event_can_be_is_refused(agent):
    agent.run("e")
    assert "there is no run 'x'" in refused("agent", "runs", "x", *agent.state)
    assert "'lost'" in run("agent", "runs", "--status", "x", *agent.state, code=2).stderr
    assert "'superseded'" in run("agent", "events", "--in", "x", *agent.state, code=2).stderr
