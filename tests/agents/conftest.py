"""Agents for tests, and hosts that answer them."""

from __future__ import annotations

from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from onecopy.agents.sdk.build import build
from onecopy.agents.worker.limits import Limits
from onecopy.agents.worker.pool import Workers

HERE = Path(__file__).parent / "worker"


@pytest.fixture(scope="session")
def shared_folder(pytestconfig: pytest.Config) -> Path:
    """A folder of pytest's cache: what takes long to build is kept there, by what it is made of."""
    folder = pytestconfig.cache.mkdir("agents")
    folder.chmod(0o700)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs an agent in Python waits for its build and its compiler."""
    for item in items:
        if "python_agent" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def actions() -> bytes:
    """The component of an agent that does what its event says; see actions.wat."""
    import wasmtime

    return bytes(wasmtime.wat2wasm((HERE / "actions.wat").read_text()))


@pytest.fixture(scope="session")
def python_agent(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A component with all agents in Python; worker/python.py is its part for events that `do`."""
    from tests.agents.sdk.running import python_agents

    if find_spec("componentize_py") is None:
        pytest.skip("componentize-py is not installed")
    return python_agents(tmp_path_factory.mktemp("python"), shared_folder)


@pytest.fixture
def workers(actions: bytes, shared_folder: Path):
    """Makes workers, of the agent of actions.wat if no other is named."""

    @asynccontextmanager
    async def make(component=actions, processes=1, **limits):
        pool = Workers(
            component,
            Limits(**limits),
            name="tested",
            processes=processes,
            cache=shared_folder / "onecopy/modules",
        )
        async with pool:
            yield pool

    return make


@pytest.fixture(scope="session")
def probe(shared_folder: Path) -> Path:
    """The component of probe/agent.js, which does what its payload says."""
    from tests.agents.sdk.running import alone, fetched

    fetched(shared_folder)
    with alone(shared_folder):
        return build(HERE.parent / "attacks/probe/agent.js")
