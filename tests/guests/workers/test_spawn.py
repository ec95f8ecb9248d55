from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from onecopy.guests.workers import spawn
from onecopy.guests.workers.worker import Config
from tests.conftest import open_files


def test_the_command_runs_where_this_package_and_its_needs_are_found() -> None:
    environment = spawn.environment()
    assert str(Path(spawn.__file__).parents[3]) in environment["PYTHONPATH"]
    command = spawn.command(Config(9, 9, 9, 9, 1, ()))
    interpreter = command[: command.index("-m")]
    subprocess.run([*interpreter, "-c", "import msgspec, wasmtime"], env=environment, check=True)


def test_the_environment_holds_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    assert "secret" not in str(spawn.environment())


def test_when_it_fails_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_files()
    started: list[int] = []

    def fail(pid: int, flags: int = 0) -> int:
        if pid == os.getpid():
            return original(pid)
        started.append(pid)
        raise OSError("no more descriptors")

    original = os.pidfd_open
    monkeypatch.setattr(os, "pidfd_open", fail)
    with pytest.raises(OSError, match="no more descriptors"):
        spawn.spawn(())
    assert open_files() == before
    with pytest.raises(ProcessLookupError):
        os.kill(started[0], 0)
