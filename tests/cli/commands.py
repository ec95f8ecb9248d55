"""Running the command line: in this process, in another one, and on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from onecopy.cli.app import app

LINE = [sys.executable, "-m", "onecopy.cli"]


def run(*arguments: object, code: int = 0) -> Result:
    """Run a command in this process; it must end with `code`."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def refused(*arguments: object) -> str:
    """Run a command that must fail with one line on the standard error; return that line."""
    result = run(*arguments, code=1)
    assert result.stdout == ""
    assert result.stderr.startswith("onecopy: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def command(*arguments: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, to its end."""
    line = [*LINE, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=check)


def started(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start a command in a process of its own."""
    return subprocess.Popen(
        [*LINE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


class Terminal:
    """A process on a pseudo-terminal."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd = fd
        self.process = process
        self.seen = ""

    def read_until(self, text: str) -> None:
        """Read until `text` has appeared."""
        while text not in self.seen:
            self.seen += os.read(self._fd, 65536).decode(errors="replace")

    def read_all(self) -> str:
        """Read to the end, and return all that was shown."""
        while True:
            try:
                data = os.read(self._fd, 65536)
            except OSError:  # EIO: nobody has the terminal open any more.
                return self.seen
            self.seen += data.decode(errors="replace")

    def press(self, keys: bytes) -> None:
        """Type something."""
        os.write(self._fd, keys)


@contextmanager
def on_terminal(*arguments: object) -> Iterator[Terminal]:
    """Start a command on a terminal of 120 columns, and end it if it does not end itself."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
    line = [*LINE, *map(str, arguments)]
    process = subprocess.Popen(
        line, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True
    )
    os.close(theirs)
    try:
        with process:
            try:
                yield Terminal(ours, process)
            finally:
                process.poll() is None and process.kill()
    finally:
        os.close(ours)


def await_gone(path: Path, seconds: float = 20) -> None:
    """Wait until a path no longer exists."""
    deadline = time.monotonic() + seconds
    while path.exists():
        assert time.monotonic() < deadline, f"{path} is still there"
        time.sleep(0.01)
