"""The command line of onecopy, with two tools and an embedder that needs no model."""

from __future__ import annotations

from typing import Any

from onecopy.agents.grants.tools import registry
from onecopy.agents.grants.tools.tool import Tool
from onecopy.agents.server import agent, resources
from onecopy.cli import main
from tests.agents.grants.memory.embedders import Letters


class Embedder(Letters):
    """As that of a store."""

    def __init__(self, _store: Any) -> None:
        super().__init__()

    def close(self) -> None:
        """Nothing is open."""


def shout(text: str) -> str:
    """Louder."""
    return text.upper()


def _installed(name: str) -> Tool:
    return Tool.of(shout, name=name)


def _ensure(_store: Any) -> None:
    """There is one already."""


if __name__ == "__main__":
    agent.ensure = _ensure  # type: ignore[attr-defined]
    resources.StoreEmbedder = Embedder  # type: ignore[misc, assignment]
    registry._installed = _installed
    main()
