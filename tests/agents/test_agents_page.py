"""docs/agents.md: its agents pass their test, its manifests and events hold, its commands are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.main import get_command

from onecopy.agents.grants.http.http import Http
from onecopy.agents.manifest import Manifest
from onecopy.agents.trial import Trial
from onecopy.cli.agent import app
from tests.agents.server.conftest import make_agent
from tests.cli.commands import command
from tests.cli.serving import serving_folder
from tests.pages import ROOT

PAGE = (ROOT / "docs" / "agents.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
MANIFESTS = [text for kind, text in BLOCKS if kind == "toml"]
GREETER = MANIFESTS[0]
COMMANDS = get_command(app).commands

TEST_PY = """
import json, pathlib
import agent
from onecopy_agent.testing import Host

def test_it_greets_once():
    settings = {"greeting": "Welcome", "api": "https://api.github.com"}
    trial = json.loads(pathlib.Path(__file__).with_name("first.json").read_text())
    event = {"kind": "issues.opened", "settings": settings, "payload": trial["payload"],
             "fields": {"repo": "octo/cat", "number": "7"}}
    with Host() as host:
        host.http.reply("POST", next(iter(trial["http"])).partition(" ")[2], json={"id": 1})
        assert host.run(agent.handle, event) == trial["expect"]
        assert host.run(agent.handle, event) == {"greeted": False}
    assert host.http.sent[0].json() == {"body": "Welcome, @ada!"}
"""


def block(language: str) -> str:
    """The only block in a language."""
    (text,) = [text for kind, text in BLOCKS if kind == language]
    return text


def test_the_agent_in_python_passes_a_test(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text(GREETER)
    (tmp_path / "agent.py").write_text(block("python"))
    (tmp_path / "first.json").write_text(block("json"))
    (tmp_path / "test_agent.py").write_text(TEST_PY)
    done = command("agent", "test", tmp_path, "--", "-p", "no:cacheprovider", "-n", "0")
    assert "1 passed" in done.stdout


@pytest.mark.skipif(not shutil.which("node"), reason="no Node.js")
def test_the_agent_in_javascript_is_javascript(tmp_path: Path) -> None:
    (tmp_path / "agent.mjs").write_text(block("js"))
    subprocess.run(["node", "--check", str(tmp_path / "agent.mjs")], check=True)


@pytest.mark.parametrize("text", MANIFESTS)
def test_a_manifest_holds(text: str) -> None:
    Manifest.parse(text, ".")


def test_the_event_is_granted_what_it_is_answered(tmp_path: Path) -> None:
    path = tmp_path / "first.json"
    path.write_text(block("json"))
    trial, manifest = Trial.load(path), Manifest.parse(GREETER, ".")
    event = manifest.bind_cli(trial.kind, trial.payload).event("1")
    for asked in trial.http:
        method, _, url = asked.partition(" ")
        granted = Http(manifest.grants.http, event, trial.client())
        from onecopy.agents.manifest.url import Url

        assert granted._grant(method, Url.parse(url))


def test_the_delivery_is_taken_as_it_is_signed(tmp_path: Path) -> None:
    folder = make_agent(tmp_path / "agent")
    manifest = GREETER.replace('source = "agent.py"', 'component = "agent.wasm"')
    (folder / "agent.toml").write_text(manifest)
    secrets = {"GITHUB_WEBHOOK_SECRET": "a secret of the webhook", "GITHUB_TOKEN": "a token"}
    with serving_folder(folder, tmp_path / "state", secrets) as server:
        script = block("bash").replace("http://127.0.0.1:8080/github", server.hook)
        ended = subprocess.run(
            ["bash", "-euc", script], env={**os.environ, **secrets}, capture_output=True, text=True
        )
        assert '"status":"new"' in ended.stdout, ended.stderr
        assert server.end() == 0


def test_the_commands_and_their_options_exist() -> None:
    rows = re.findall(r"^\| `onecopy agent (\w+)[^`]*` \|(.*)\|$", PAGE, re.MULTILINE)
    assert {name for name, _ in rows} == set(COMMANDS)
    lines = "\n".join(text for kind, text in BLOCKS if kind == "console").replace("\\\n", "")
    used = re.findall(r"onecopy agent (\w+)(.*)", lines)
    for name, rest in [*rows, *used]:
        known = {each for param in COMMANDS[name].params for each in param.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known, name


def test_the_page_is_complete_and_its_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= anchors
    for link in re.findall(r"\]\(([^#)]+)(?:#[^)]*)?\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link


def test_the_refusal_that_is_shown_is_what_is_said() -> None:
    from onecopy.agents.calls import Refused
    from onecopy.agents.manifest.url import Url

    manifest = Manifest.parse(GREETER, ".")
    trial = Trial(payload={})
    event = manifest.bind_cli("issues.opened", {
        "repository": {"full_name": "octo/cat"}, "issue": {"number": 7}
    }).event("1")  # fmt: skip
    with pytest.raises(Refused) as refused:
        Http(manifest.grants.http, event, trial.client())._grant(
            "GET", Url.parse("https://api.github.com/user")
        )
    assert refused.value.refusal.message == block("text").strip()
