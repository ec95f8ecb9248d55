"""Agents: sandboxed functions that are called with events, and reach only what they are granted.

An agent is a WebAssembly component (wit/agent.wit) and a manifest, `agent.toml` (docs/agents.md).

    from onecopy import agents

    manifest = agents.Manifest.load("review")           what it is called for, and may reach
    component = agents.build("review/agent.py")         from Python or JavaScript
    server = agents.Server(["review"], listen=…, status=…)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from onecopy.lazy import exports

if TYPE_CHECKING:
    from onecopy.agents.event import Event
    from onecopy.agents.grants.tools import Registry, Tool
    from onecopy.agents.manifest import Manifest
    from onecopy.agents.outcome import Outcome
    from onecopy.agents.sdk.build import build
    from onecopy.agents.server.server import Server
    from onecopy.agents.server.site import Address
    from onecopy.agents.worker.pool import Workers

__all__ = [
    "Address",
    "Event",
    "Manifest",
    "Outcome",
    "Registry",
    "Server",
    "Tool",
    "Workers",
    "build",
]

_HOMES: dict[str, str | None] = {
    "Address": "server.site",
    "Event": "event",
    "Manifest": "manifest",
    "Outcome": "outcome",
    "Registry": "grants.tools",
    "Server": "server.server",
    "Tool": "grants.tools",
    "Workers": "worker.pool",
    "build": "sdk.build",
}

__getattr__, __dir__ = exports(__name__, _HOMES)
