"""`agent run`: one event, here and now."""

from __future__ import annotations

import json

import pytest

from tests.cli.agents import Agent
from tests.cli.commands import command, refused, run


@pytest.fixture
def agent(tmp_path, monkeypatch):
    monkeypatch.delenv("HOOK_SECRET", raising=False)
    return Agent(tmp_path)


def test_the_answer_is_the_output_and_the_rest_is_not(agent):
    # Its webhook's secret is not set: nobody sends a delivery here.
    done = run("agent", "run", agent.folder, "--event", agent.event("W"), *agent.state)
    assert json.loads(done.stdout)["payload"] == {"number": 1, "do": "!W"}
    assert "# {" in done.stderr  # the step that it writes
    assert "computing; run " in done.stderr


def test_a_component_is_compiled_once_and_that_is_said(agent, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    line = ("agent", "run", agent.folder, "--event", agent.event("e"), *agent.state)
    first, second = run(*line), run(*line)
    assert "of WebAssembly; as it is now, it is compiled once" in first.stderr
    assert json.loads(first.stdout)["payload"] == json.loads(second.stdout)["payload"]
    assert "compile" not in second.stderr


@pytest.mark.parametrize(("do", "says"), [("x", "onecopy: actions: {"), ("t", "unreachable")])
def test_an_agent_that_fails_is_exit_status_1(agent, do, says):
    options = ("--event", agent.event(do), *agent.state)
    done = run("agent", "run", agent.folder, *options, code=1)
    assert done.stdout == ""
    assert says in done.stderr


def test_what_an_agent_says_of_its_failure_is_shown_as_it_says_it(tmp_path):
    text = '{\\"message\\": \\"not today\\"}'
    size = len('{"message": "not today"}')
    at = f"(data (i32.const 128) {json.dumps(json.loads(chr(34) + text + chr(34)))})"
    ending = f"(call $answer (i32.const 1) (i32.const 128) (i32.const {size}))) {at})"
    agent = Agent(tmp_path, answer=ending)
    said = run("agent", "run", agent.folder, "-e", agent.event("e"), *agent.state, code=1).stderr
    assert said.splitlines()[-1] == "onecopy: actions: not today"


def test_events_that_cannot_be_say_why(agent, tmp_path):
    bad = tmp_path / "bad.json"
    bad.write_text("{")
    assert "is no JSON" in refused("agent", "run", agent.folder, "-e", bad)
    bad.write_text('{"number": "../1"}')
    assert "a segment . or .." in refused("agent", "run", agent.folder, "-e", bad)
    assert "--event FILE" in refused("agent", "run", agent.folder)
    options = ("-e", agent.event("e"), "--kind", "other")
    assert '[[triggers.cli]] kinds = ["other"]' in refused("agent", "run", agent.folder, *options)


def test_the_kind_is_the_only_one_or_has_to_be_said(agent):
    manifest = agent.folder / "agent.toml"
    whole = manifest.read_text()
    cli = whole[whole.index("[[triggers.cli]]") :]
    options = (agent.folder, "-e", agent.event("e"), *agent.state)
    manifest.write_text(whole.replace('kinds = ["asked"]', 'kinds = ["asked", "told"]'))
    assert "known are asked, told, asked.now" in refused("agent", "run", *options)
    manifest.write_text(whole.replace(cli, ""))
    assert '"kind":"asked.now"' in run("agent", "run", *options).stdout
    manifest.write_text(whole[: whole.index("[[triggers.webhook]]")])
    assert "add [[triggers.cli]] to" in refused("agent", "run", *options)


def test_a_folder_without_an_agent_says_how_to_make_one(tmp_path):
    for place in (tmp_path, tmp_path / "absent"):
        assert "onecopy agent new NAME" in refused("agent", "run", place)


def test_what_is_no_agent_is_named(agent):
    code = agent.folder / "agent.wasm"
    code.write_bytes(b"no wasm")
    options = ("-e", agent.event("e"), *agent.state)
    assert f"{code}: this is no" in refused("agent", "run", agent.folder, *options)


def test_a_store_that_does_not_run_is_named_as_the_trouble(agent):
    options = ("-e", agent.event("e"), "--store", "no-such-store")
    assert "onecopy serve" in command("agent", "run", agent.folder, *options, check=False).stderr
