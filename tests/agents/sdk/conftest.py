"""Fixtures: `onecopy_agent` as plain Python, and components that are built once per session."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.agents import sdk

sdk.importable()


@pytest.fixture
def host():
    """A host in this process, entered."""
    from onecopy_agent.testing import Host

    with Host() as host:
        yield host


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The caches of this test, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "onecopy"


@pytest.fixture
def shared_qjs(shared_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fetch componentize-qjs once, though the caches are new for each test."""
    from onecopy.agents.sdk.toolchains import qjs
    from tests.agents.sdk.running import fetched

    tool = fetched(shared_folder)
    monkeypatch.setattr(qjs, "command", lambda _folder: [tool])
