"""What the pages show works as it stands there: snippets, commands, links, names of errors."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import onecopy
from onecopy.cli.app import app
from onecopy.errors import OnecopyError
from tests.pages import ROOT, blocks, in_place, programs, run_program

USERS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("**/*.md"))]
# The rest have tests of their own, beside what they are about.
TOGETHER = ("README.md", "docs/guide.md", "docs/storage.md", "docs/disk.md", "docs/codecs.md")


def test_the_pages_on_stores_run(tmp_path: Path) -> None:
    # In one process: importing torch takes longer than all of their snippets.
    (tmp_path / "pages.py").write_text(in_place(*TOGETHER))
    run_program(tmp_path / "pages.py")


def test_the_programs_of_the_guide_run(tmp_path: Path) -> None:
    for name, code in programs("docs/guide.md").items():
        (tmp_path / name).write_text(code)
        run_program(tmp_path / name)


def test_the_page_on_models_runs_with_its_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    checkpoint = """
from transformers import LlamaConfig, LlamaForCausalLM
sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "vocab_size": 32}
LlamaForCausalLM(LlamaConfig(num_attention_heads=2, **sizes)).save_pretrained("path/to/checkpoint")
"""
    served = "\n".join(programs("docs/models.md").values())
    (tmp_path / "page.py").write_text(in_place("docs/models.md") + checkpoint + served)
    run_program(tmp_path / "page.py")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), link


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", [ROOT / "README.md", *USERS], ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    shown = [code for kind, code in blocks(page) if kind in ("console", "sh", "text", "bash")]
    shown += re.findall(r"^    \S.*$", page.read_text(), re.MULTILINE)
    lines = "\n".join(shown).replace("\\\n", " ").splitlines()
    for line in lines:
        if found := re.match(r"\s*(?:\$ )?onecopy (.*)", line):
            check(shlex.split(found[1], comments=True))


def check(words: list[str]) -> None:
    """Walk down to the command, and look whether it has the options that follow."""
    command: Any = get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    assert not getattr(command, "commands", {}), f"no command {words[:1]}"
    known = {each for param in command.params for each in param.opts}
    own = words[: words.index("--")] if "--" in words else words
    assert {each for each in own if re.match("--?[a-z]", each)} <= known, words


def test_every_command_is_in_the_guide() -> None:
    table = (ROOT / "docs" / "guide.md").read_text().partition("## On the command line")[2]
    named = set(re.findall(r"^\| `onecopy (\w+)", table, re.MULTILINE))
    assert named == set(get_command(app).commands)  # type: ignore[attr-defined]


def test_every_error_is_in_the_guide() -> None:
    text = (ROOT / "docs" / "guide.md").read_text()
    errors = [getattr(onecopy, name) for name in onecopy.__all__ if name[0].isupper()]
    named = {each.__name__ for each in errors if issubclass(each, OnecopyError)}
    named.remove("OnecopyError")
    assert {name for name in named if f"`{name}`" not in text} == set()
