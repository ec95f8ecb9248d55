"""Fixtures: every test that starts a store gets a runtime directory of its own."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest

import onecopy

# A shell starts what runs in the background with SIGINT ignored, and children inherit that:
# programs that are interrupted by a test would never notice.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A first example that waits for a busy machine is no failure; tests that need more say so.
hypothesis.settings.register_profile("patient", deadline=None, max_examples=50)
hypothesis.settings.load_profile("patient")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """To look for garbage while thousands of tests are collected takes a quarter of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Thousands of collected tests are no garbage: collections need not look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The runtime directory of this test's stores."""
    base = tmp_path / "run"
    monkeypatch.setenv("ONECOPY_RUNTIME_DIR", str(base))
    return base


@pytest.fixture(params=["direct", "socket"])
def direct(request: pytest.FixtureRequest) -> bool:
    """Both ways to open an entry: by /proc, and by a descriptor from the daemon."""
    return request.param == "direct"


@pytest.fixture
def store(direct: bool):
    """A store of 256 MiB that belongs to this test."""
    with onecopy.start("test", capacity="256MiB", direct=direct) as store:
        yield store


@pytest.fixture
def client(store, direct: bool):
    """A second handle of the same store."""
    with onecopy.connect("test", timeout=5, direct=direct) as client:
        yield client


@pytest.fixture(scope="session")
def _caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


@pytest.fixture
def caches(_caches: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of programs' caches, for a session: each module is compiled once, not per test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(_caches))
    return _caches


@pytest.fixture(scope="session")
def zig(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The compiler's cache, which pytest-xdist's workers share: to fill it takes four seconds."""
    base = tmp_path_factory.getbasetemp()
    return str((base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "zig")


@pytest.fixture
def compiler(caches: Path, zig: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caches of building guests lie in temporary folders."""
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", zig)
    monkeypatch.setenv("ZIG_LOCAL_CACHE_DIR", zig)


def open_files(pid: int | str = "self") -> int:
    """Count the open descriptors of a process; of ours without those that garbage holds."""
    if pid == "self":
        gc.collect()
    return len(os.listdir(f"/proc/{pid}/fd"))
