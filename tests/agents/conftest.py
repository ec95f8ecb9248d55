"""Agents for tests, and hosts that answer them."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sysconfig
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import pytest

from onecopy import agents
from onecopy.agents.sdk.build import build
from onecopy.agents.worker.component import compile_component
from onecopy.agents.worker.limits import Limits
from onecopy.agents.worker.pool import Workers

HERE = Path(__file__).parent / "worker"
PYTHON = HERE / "python"
WIT = Path(agents.__file__).parent / "wit"


@pytest.fixture(scope="session")
def shared_folder(pytestconfig: pytest.Config) -> Path:
    """A folder of pytest's cache: what takes long to build is kept there, by what it is made of."""
    folder = pytestconfig.cache.mkdir("agents")
    folder.chmod(0o700)
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test that needs an agent in Python waits for its build and its compiler."""
    for item in items:
        if {"python_agent", "python_probe"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def actions() -> bytes:
    """The component of an agent that does what its event says; see actions.wat."""
    import wasmtime

    return bytes(wasmtime.wat2wasm((HERE / "actions.wat").read_text()))


@pytest.fixture(scope="session")
def python_agent(shared_folder: Path) -> Path:
    """The component of python/agent.py: built in ten seconds and compiled in five, once."""
    tool = Path(sysconfig.get_path("scripts")) / "componentize-py"
    if not tool.exists():
        pytest.skip("componentize-py is not installed")
    parts = [*sorted(PYTHON.iterdir()), *sorted(WIT.iterdir())]
    key = hashlib.sha256(b"".join(each.read_bytes() for each in parts if each.is_file()))
    made = shared_folder / f"{key.hexdigest()[:16]}-{version('componentize-py')}.wasm"
    with (shared_folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _build(tool, made)
        compile_component(made, shared_folder / "compiled")
    return made


def _build(tool: Path, made: Path) -> None:
    # Only what is ours: tools that npm has fetched lie beside it.
    for old in (*made.parent.glob("*.wasm"), *made.parent.glob("compiled/*")):
        old.unlink()
    begun = made.with_suffix(".begun")
    where = ["-p", str(PYTHON), "agent", "-o", str(begun)]
    command = [str(tool), "-d", str(WIT), "-w", "agent", "componentize", *where]
    subprocess.run(command, check=True, capture_output=True)
    begun.rename(made)


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
            cache=shared_folder / "compiled",
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


@pytest.fixture(scope="session")
def python_probe(shared_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The component of sdk/everything.py, which is Python and does some of that, too."""
    from tests.agents.sdk.running import alone, python_agents

    with alone(shared_folder):
        return build(python_agents(tmp_path_factory.mktemp("python")))
