"""An agent that does what is behind the ! in its event, and services that run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.agents.sdk.build import build
from tests.agents.sdk.running import alone, fetched, python_agents
from tests.agents.server.conftest import folder, manifest, serving

__all__ = ["folder", "manifest", "serving"]


@pytest.fixture(scope="session")
def probe(shared_folder: Path) -> Path:
    """The component of probe/agent.js, which does what its payload says."""
    fetched(shared_folder)
    with alone(shared_folder):
        return build(Path(__file__).parent / "probe/agent.js")


@pytest.fixture(scope="session")
def python_probe(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component of sdk/everything.py, which is Python and does some of that, too."""
    with alone(shared_folder):
        return build(python_agents(tmp_path_factory.mktemp("python")))
