"""An agent that does what is behind the ! in its event, and services that run it."""

from __future__ import annotations

from pathlib import Path

import pytest

from onecopy.agents.sdk.build import build
from tests.agents.sdk.running import alone, fetched
from tests.agents.server.conftest import folder, manifest, serving

__all__ = ["folder", "manifest", "serving"]


@pytest.fixture(scope="session")
def probe(shared_folder: Path) -> Path:
    """The component of probe/agent.js, which does what its payload says."""
    fetched(shared_folder)
    with alone(shared_folder):
        return build(Path(__file__).parent / "probe/agent.js")
