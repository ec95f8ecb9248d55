"""Processes that a peer started: waiting for them, ending them, finding their children."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

PR_SET_CHILD_SUBREAPER = 36


def wait_for_socket(path: str, server: subprocess.Popen[Any], seconds: float = 20) -> None:
    """Return when the server's socket is there; looks every millisecond."""
    deadline = time.monotonic() + seconds
    while not Path(path).exists():
        if server.poll() is not None:
            raise RuntimeError(f"the server ended with status {server.returncode}")
        if time.monotonic() > deadline:
            raise TimeoutError(f"no socket at {path} after {seconds} s")
        time.sleep(0.001)


def end(server: subprocess.Popen[Any]) -> None:
    """Ask, then insist."""
    server.terminate()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def descendants(pid: int) -> list[int]:
    """All processes below ``pid``."""
    found = children(pid)
    return found + [below for child in found for below in descendants(child)]


def children(pid: int) -> list[int]:
    """The direct children of ``pid``; none when it has gone."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def adopt_orphans() -> None:
    """From now on grandchildren whose parent dies become children of this process."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children(patience: float = 3) -> None:
    """Leave nobody behind: reap every child, and kill those that do not end by themselves."""
    deadline = time.monotonic() + patience
    while (left := _unwanted()) and time.monotonic() < deadline:
        _reap()
        time.sleep(0.02)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    _reap()


def _unwanted() -> list[int]:
    """All but multiprocessing's resource tracker, which ends after this process."""
    return [pid for pid in descendants(os.getpid()) if b"resource_tracker" not in _command(pid)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass
