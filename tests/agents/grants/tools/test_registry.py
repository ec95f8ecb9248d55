"""All tools of a server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from onecopy import InvalidArgument
from onecopy.agents.grants.tools import Registry, Tool


def double(value: int) -> int:
    return 2 * value


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An installed package with entry points."""
    (tmp_path / "some_tools.py").write_text(
        "from onecopy.agents.grants.tools import Tool\n"
        "def count(text: str) -> int:\n    'Count.'\n    return len(text)\n"
        "other = Tool.of(count, name='other')\n"
    )
    info = tmp_path / "some_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[onecopy.tools]\nword-count = some_tools:count\nother = some_tools:other\n"
        "another = some_tools:other\nbroken = some_tools:missing\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("some_tools", None)


@pytest.mark.usefixtures("package")
def test_tools_of_packages_are_found_by_their_entry_points() -> None:
    registry = Registry()
    assert "some_tools" not in sys.modules
    tool = registry.get("word-count")
    assert (tool.name, tool.description) == ("word-count", "Count.")
    assert registry.get("word-count") is tool
    assert registry.get("other").function("abc") == 3


@pytest.mark.usefixtures("package")
def test_a_package_that_fails_is_named() -> None:
    with pytest.raises(InvalidArgument, match="some_tools:missing"):
        Registry().get("broken")
    with pytest.raises(InvalidArgument, match="calls itself 'other'"):
        Registry().get("another")
    with pytest.raises(InvalidArgument, match="word-count"):
        Registry().get("unknown")


@pytest.mark.usefixtures("package")
def test_a_programs_own_tools_come_first() -> None:
    registry = Registry()
    registry.add(Tool.of(double, name="word-count"))
    assert registry.get("word-count").function is double
    with pytest.raises(InvalidArgument, match="already"):
        registry.add(Tool.of(double, name="word-count"))
