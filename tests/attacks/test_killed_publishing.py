"""SIGKILL between every two system calls of a save into a directory, on either side."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
import torch

import onecopy
from onecopy.store.daemon.config import Config
from tests.attacks.children import forked
from tests.attacks.patience import eventually
from tests.attacks.serving import Daemon
from tests.attacks.stepping import kill_at

ROOT: Final = Path(__file__).parents[2]
OLD, NEW = torch.zeros(5000), torch.ones(5000)


def saves(code: Any) -> bool:
    """Say whether it is the client's save."""
    return code.co_name == "save" and code.co_filename.endswith("client.py")


def daemon_killed_at(step: int) -> Callable[[Config], list[str]]:
    """Return what makes the command of a daemon that kills itself at some step."""
    program = f"""
import sys
sys.modules.setdefault("typing_extensions", None)
from onecopy.store.daemon.config import Config
from onecopy.store.daemon.process import main
sys.path.insert(0, {str(ROOT)!r})
from tests.attacks.stepping import kill_at
kill_at({step}, lambda code: code.co_name in ("_save", "reserve") and "daemon" in code.co_filename)
sys.exit(main(Config.of_argument(sys.argv[1])))
"""
    return lambda config: [sys.executable, "-c", program, config.to_argument()]


def check(folder: Path, overwrite: bool, *, done: bool) -> None:
    """What a new daemon finds is the old state or the new one, and nothing else is left."""
    with onecopy.start("after", dir=folder) as store:
        names = store.names()
        assert names in ([["x"]] if overwrite or done else [[], ["x"]])
        if names:
            value = store.load("x")
            assert torch.equal(value, NEW) or (not done and torch.equal(value, OLD))
            assert overwrite or torch.equal(value, NEW)
        store.save("x", NEW, overwrite=True)
    assert sorted(os.listdir(folder)) == [".onecopy-lock", "x.safetensors"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_killed_client_leaves_the_old_entry_or_the_new_one(
    tmp_path: Path, runtime: Path, overwrite: bool
) -> None:
    steps = 0
    while True:
        steps += 1
        folder = tmp_path / str(steps)
        with Daemon(runtime, directory=str(folder)), onecopy.connect("test") as store:
            if overwrite:
                store.save("x", OLD)
            done = _save_in_child(steps, overwrite)
            eventually(lambda: store.stats().reserved == 0)
        check(folder, overwrite, done=done)
        if done:
            break
    assert steps > 10


def _save_in_child(step: int, overwrite: bool) -> bool:
    """Save in a child that kills itself at a step; say whether it came to the end."""
    with forked(lambda: _save(step, overwrite)) as (child,):
        try:
            child.wait()
        except AssertionError as error:
            assert str(error) == f"status {-signal.SIGKILL}"  # noqa: PT017  # or it is a bug
            return False
        return True


def _save(step: int, overwrite: bool) -> None:
    with onecopy.connect("test") as store:
        kill_at(step, saves)
        store.save("x", NEW, overwrite=overwrite)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_killed_daemon_leaves_the_old_entry_or_the_new_one(
    tmp_path: Path, runtime: Path, overwrite: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with onecopy.start("before", dir=tmp_path) as store:
        store.save("x", OLD)
    old = (tmp_path / "x.safetensors").read_bytes()
    steps, done = 0, False
    while not done:
        steps += 1
        folder = tmp_path / str(steps)
        folder.mkdir()
        if overwrite:
            (folder / "x.safetensors").write_bytes(old)
        with monkeypatch.context() as patch:
            patch.setattr("onecopy.store.launch.command", daemon_killed_at(steps))
            done = _save_at(runtime, folder, overwrite)
        check(folder, overwrite, done=done)
    assert steps > 10


def _save_at(runtime: Path, folder: Path, overwrite: bool) -> bool:
    """Save; say whether the daemon lived through it."""
    with Daemon(runtime, directory=str(folder)):
        try:
            with onecopy.connect("test", timeout=1) as store:
                store.save("x", NEW, overwrite=overwrite)
                return True
        except onecopy.StoreUnavailable:
            return False
