"""An agent that does what is behind the ! in its event, and services that run it."""

from __future__ import annotations

from tests.agents.server.conftest import folder, manifest, serving

__all__ = ["folder", "manifest", "serving"]
