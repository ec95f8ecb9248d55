"""Daemons that belong to nobody, to be killed, stopped and started again."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from onecopy.store import launch
from onecopy.store.daemon.config import Config


class Daemon:
    """A store that runs until it is killed, and can be started again under its name."""

    def __init__(self, base: Path, name: str = "test", **options: Any) -> None:
        options = {"capacity": 256 << 20, **options}
        self.config = Config(name=name, base=str(base), **options)
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def pid(self) -> int:
        """The process id of the daemon that runs now."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it, again if it was killed."""
        self.process = launch.spawn(self.config)

    def kill(self) -> None:
        """Kill it without notice, and wait until it is gone; twice is fine."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def restart(self) -> None:
        """Kill it and start another one."""
        self.kill()
        self.start()

    def pause(self) -> None:
        """Stop it, as a debugger does, and wait until it stands."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WNOWAIT)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Daemon:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


@contextmanager
def few_files(number: int) -> Iterator[None]:
    """Within the block, daemons start with a hard limit of `number` open files."""
    ordinary = launch.command
    program = f"""
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({number}, {number}))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""

    def limited(config: Config) -> list[str]:
        return [sys.executable, "-c", program, *ordinary(config)[1:]]

    launch.command = limited
    try:
        yield
    finally:
        launch.command = ordinary


@contextmanager
def soft_limit(kind: int, number: int) -> Iterator[None]:
    """Within the block, this process has another soft limit of that kind."""
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (number, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)
