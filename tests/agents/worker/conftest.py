"""Agents for tests, and hosts that answer them."""

from __future__ import annotations

from pathlib import Path

import pytest

ACTIONS = Path(__file__).with_name("actions.wat")


@pytest.fixture(scope="session")
def compiled_agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where this session's components are kept when they are compiled."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture(scope="session")
def actions() -> bytes:
    """The component of an agent that does what its event says; see actions.wat."""
    import wasmtime

    return bytes(wasmtime.wat2wasm(ACTIONS.read_text()))
