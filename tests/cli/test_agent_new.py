"""`agent new`, `agent init`: folders that hold an agent, and never somebody's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.agents.manifest import Manifest
from tests.cli.commands import refused, run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("lang", ["py", "js"])
def test_a_new_agent_has_a_manifest_that_holds(lang):
    said = run("agent", "new", "greeter", "--lang", lang).stderr
    manifest = Manifest.load(Path("greeter"))
    assert manifest.name == "greeter"
    assert (Path("greeter") / f"agent.{lang}").exists()
    assert "onecopy agent test greeter" in said
    assert "onecopy agent run greeter --event greeter/event.json" in said
    files = [each for each in Path("greeter").rglob("*") if each.is_file()]
    assert Path("greeter/events/first.json") in files
    assert not any("NAME" in each.read_text() for each in files)


@pytest.mark.parametrize("name", ["Greeter", "1st", "a_b", "ä"])
def test_a_name_that_no_agent_can_have_is_refused(name):
    assert "no name for an agent" in refused("agent", "new", name)


def test_a_folder_with_files_in_it_is_left_as_it_is(folder):
    (folder / "greeter").mkdir()
    run("agent", "new", "greeter")
    (folder / "greeter" / "agent.py").write_text("mine")
    assert "exists already" in refused("agent", "new", "greeter")
    assert (folder / "greeter" / "agent.py").read_text() == "mine"


def test_the_code_review_bot_is_written_with_its_addresses():
    enterprise, model = "https://github.example.com/api/v3", "https://llm.example.com/v1"
    options = ("--github", enterprise, "--llm", model, "--model", "big")
    said = run("agent", "init", "code-review", "bot", *options).stderr
    manifest = Manifest.load(Path("bot"))
    assert manifest.settings["github"] == enterprise
    assert manifest.grants.llm.url == model
    assert manifest.grants.llm.models == ("big",)
    assert (Path("bot") / "review_bot" / "bot.py").exists()
    assert "onecopy agent serve bot" in said


def test_an_address_that_is_none_is_refused_before_anything_is_written(folder):
    assert "no address" in refused("agent", "init", "code-review", "--github", "github.com")
    assert not (folder / "code-review").exists()
