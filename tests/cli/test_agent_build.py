"""`agent build`: finds the source by the manifest, and says what it has built."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.agents.sdk.toolchains import python
from tests.cli.commands import refused, run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A toolchain that takes no time: what it is like is for tests/agents/sdk/test_build.py."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(
        python, "componentize", lambda sources, stage, out: out.write_bytes(b"\0asm")
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_new_agent_is_built_and_the_next_step_is_said():
    run("agent", "new", "greeter")
    result = run("agent", "build", "greeter")
    assert result.stdout.startswith("built ")
    assert "onecopy agent run greeter --event greeter/event.json" in result.stderr


def test_a_component_is_written_where_it_is_asked_for():
    run("agent", "new", "greeter")
    assert "built out.wasm" in run("agent", "build", "greeter", "--out", "out.wasm").stdout
    assert Path("out.wasm").read_bytes() == b"\0asm"


def test_a_source_can_be_named_itself(folder):
    (folder / "mine.py").write_text("def handle(event): ...\n")
    assert run("agent", "build", "mine.py").stdout.startswith("built ")


def test_a_folder_without_a_manifest_is_refused_by_its_name():
    assert "agent.toml" in refused("agent", "build")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[agent]\nname = "a"\ncomponent = "a.wasm"', "has a component already"),
        ('[agent]\nname = "a"', "agent.toml"),
        ("[agent", "agent.toml"),
    ],
)
def test_a_manifest_that_names_no_source_says_so(folder, text, said):
    (folder / "agent.toml").write_text(text)
    assert said in refused("agent", "build")
