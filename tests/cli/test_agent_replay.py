"""`agent replay`: a run once more, and whether the agent still is what it was."""

from __future__ import annotations

from tests.agents.server.conftest import make_agent
from tests.cli.agents import Agent
from tests.cli.commands import refused, run

FAILS = "(call $answer (i32.const 1) (local.get $at) (local.get $size))))"


def test_a_replay_ends_as_the_run_did(tmp_path, monkeypatch):
    agent = Agent(tmp_path)
    first = agent.run("c", code=1)  # it asks for what is not granted, and fails
    monkeypatch.chdir(agent.folder)
    done = run("agent", "replay", first, *agent.state)  # the folder is the current one
    assert "the same 1 calls and the same answer" in done.stderr


def test_another_agent_is_told_from_the_one_that_ran(tmp_path):
    agent = Agent(tmp_path)
    first = agent.run("e")
    changed = make_agent(tmp_path / "changed", answer=FAILS)
    assert "its replay is error" in refused("agent", "replay", first, changed, *agent.state)


def test_a_run_that_is_none_is_refused(tmp_path):
    agent = Agent(tmp_path)
    agent.run("e")
    assert "onecopy agent runs" in refused("agent", "replay", "x", agent.folder, *agent.state)
