"""`agent test`: an agent's own tests, with the guest library at hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.agents import Agent
from tests.cli.commands import command, refused, run

needs_node = pytest.mark.skipif(not shutil.which("node"), reason="no Node.js")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    return tmp_path


def new(lang="py"):
    """Make an agent without its event, which would be built for it: tests/agents/sdk does that."""
    run("agent", "new", "greeter", "--lang", lang)
    shutil.rmtree("greeter/events")


@pytest.mark.parametrize("lang", ["py", pytest.param("js", marks=needs_node)])
def test_a_new_agents_own_tests_pass(lang):
    new(lang)
    done = command("agent", "test", "greeter")
    assert "1 passed" in done.stdout or "# pass 1" in done.stdout
    assert "next: onecopy agent build greeter" in done.stderr


@pytest.mark.parametrize(
    ("lang", "name"), [("py", "agent.py"), pytest.param("js", "agent.js", marks=needs_node)]
)
def test_tests_that_fail_are_the_commands_status(lang, name):
    run("agent", "new", "greeter", "--lang", lang)
    path = Path("greeter") / name
    path.write_text(path.read_text().replace('"count", 0', '"count", 7'))
    assert command("agent", "test", "greeter", check=False).returncode == 1


def test_arguments_are_for_the_runner():
    new()
    done = command("agent", "test", "greeter", "--", "--collect-only", "-q")
    assert "test_questions_are_counted" in done.stdout


def test_without_node_it_says_what_to_install(monkeypatch):
    run("agent", "new", "greeter", "--lang", "js")
    monkeypatch.setenv("PATH", "/nowhere")
    assert "Node.js" in refused("agent", "test", "greeter")


@needs_node
def test_a_folder_without_tests_says_what_to_write(folder):
    new("js")
    (folder / "greeter" / "agent.test.js").unlink()
    assert "agent.test.js" in refused("agent", "test", "greeter")


def test_events_are_run_with_the_component_and_compared(tmp_path):
    agent = Agent(tmp_path)
    trials = agent.folder / "events"
    trials.mkdir()
    asked = {"number": 7, "do": "!e"}
    (trials / "a.json").write_text(json.dumps({"payload": asked, "expect": {"payload": asked}}))
    done = run("agent", "test", agent.folder)
    assert "a.json: as expected" in done.stdout
    assert f"next: onecopy agent serve {agent.folder}" in done.stderr
    wrong = {"payload": asked, "expect": {"kind": "other"}}
    (trials / "b.json").write_text(json.dumps(wrong))
    done = run("agent", "test", agent.folder, code=1)
    assert "b.json: not as expected" in done.stdout
    assert 'expected {"kind":"other"}; it answered {"' in done.stderr


def test_an_agent_in_python_without_tests_says_what_to_write(folder):
    new()
    (folder / "greeter" / "test_agent.py").unlink()
    assert "write test_agent.py, or events" in refused("agent", "test", "greeter")
