"""`agent serve`: a server in a process of its own, from its start to its end."""

from __future__ import annotations

import os
import time
import urllib.error
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from onecopy.agents.queue.reader import Entry, Reader
from tests.agents.server.conftest import SECRET
from tests.cli.agents import Agent
from tests.cli.commands import command, refused, started
from tests.cli.serving import PORTS, Served, serving_folder


def serving(agent: Agent, *options: str) -> AbstractContextManager[Served]:
    return serving_folder(agent.folder, agent.kept, {"HOOK_SECRET": SECRET}, *options)


def found(agent: Agent, event: str, *states: str) -> Entry:
    """Wait until an event is in one of the states."""
    reader = Reader(agent.kept / "events.sqlite")
    try:
        while (entry := reader.get(event)) is None or entry.state not in states:
            time.sleep(0.01)
        return entry
    finally:
        reader.close()


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    return Agent(tmp_path)


def test_a_delivery_is_run_and_shown(agent):
    with serving(agent, "--status-name", "agents.internal") as server:
        first, again = server.send("e", "1"), server.send("e", "1")
        assert (first["status"], again) == ("new", {"id": first["id"], "status": "duplicate"})
        assert found(agent, first["id"], "done", "dead").state == "done"
        with pytest.raises(urllib.error.HTTPError, match="401"):
            server.send("e", "2", secret="another secret")
        assert first["id"] in server.page(f"/events/{first['id']}")
        assert 'onecopy_agent_runs_total{agent="actions"} 1.0' in server.page("/metrics")
        assert "actions" in server.page(host="agents.internal")
        with pytest.raises(urllib.error.HTTPError, match="421"):
            server.page(host="elsewhere.example")
        assert server.end() == 0


def test_a_run_that_is_going_on_at_the_end_waits_for_the_next_server(agent):
    with serving(agent) as server:
        event = server.send("S", "1")["id"]  # it sleeps for an hour
        found(agent, event, "running")
        assert server.end() == 0
    assert found(agent, event, "queued", "done", "dead").state == "queued"
    with serving(agent) as server:
        assert found(agent, event, "running").attempt >= 1
        assert server.end() == 0


def test_a_second_server_and_a_revival_name_the_first_server(agent):
    with serving(agent) as server:
        name = f"process {server.process.pid} on "
        environment = {**os.environ, "HOOK_SECRET": SECRET}
        second = started("agent", "serve", agent.folder, *PORTS, *agent.state, env=environment)
        with second:
            said = second.stdout.read()
        assert second.returncode == 1
        assert name in said
        said = command("agent", "revive", "x", *agent.state, check=False).stderr
        assert name in said
        assert "status page" in said
        assert server.end() == 0


def test_an_address_that_is_taken_is_no_traceback(agent, tmp_path, monkeypatch):
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    with serving(agent) as server:
        taken = server.status.partition("//")[2]
        options = ("--listen", "127.0.0.1:0", "--status", taken, "--state", tmp_path / "other")
        done = command("agent", "serve", agent.folder, *options, check=False)
        assert done.returncode == 1
        assert "name another address with --listen or --status" in done.stderr
        assert "Traceback" not in done.stderr
        assert server.end() == 0


def test_a_missing_secret_and_a_wrong_address_are_said_at_the_start(agent, monkeypatch):
    monkeypatch.delenv("HOOK_SECRET", raising=False)
    manifest = agent.folder / "agent.toml"
    grant = '[grants.llm]\nurl = "https://a.example/v1"\nmodels = ["m"]\nkey = "env:NO_KEY"\n'
    manifest.write_text(manifest.read_text() + grant)
    said = refused("agent", "serve", agent.folder, *PORTS, *agent.state)
    assert "HOOK_SECRET" in said
    assert "NO_KEY" in said
    options = ("--listen", "here", *agent.state)
    assert "127.0.0.1:8080" in refused("agent", "serve", agent.folder, *options)
    both = (agent.folder, agent.folder)
    assert "two agents" in refused("agent", "serve", *both, *PORTS, *agent.state)
