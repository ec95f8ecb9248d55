"""The benchmark's end of a saver process: start it, ask it, end it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.peers.base import sweep
from benchmarks.peers.registry import ROOT, Spec

PATIENCE = 180.0
TAIL = 400


class PeerError(Exception):
    """A peer did not start, did not answer, or answered with an error."""


class Agent:
    """One peer: its saver process, in a session of its own so that Ctrl-C does not reach it."""

    def __init__(self, spec: Spec, root: Path) -> None:
        self.spec = spec
        self.root = root / spec.name
        self.root.mkdir(exist_ok=True)
        self.log = self.root / "log"
        ours, theirs = socket.socketpair()
        self.process = _spawn(spec, self.root, theirs.fileno(), self.log)
        theirs.close()
        self.wire = Connection(ours.detach())

    def begin(self) -> int:
        """Wait until the process runs, then start the peer; nanoseconds that this took."""
        self.answer("start-up")
        took: int = self.ask("start")
        return took

    def ask(self, verb: str, **arguments: Any) -> Any:
        """One command and its answer. Raises ``PeerError``."""
        self.tell(verb, **arguments)
        return self.answer(verb)

    def tell(self, verb: str, **arguments: Any) -> None:
        """Send a command; ``answer`` must follow."""
        try:
            self.wire.send_bytes(json.dumps({"do": verb, **arguments}).encode())
        except OSError as error:
            raise PeerError(f"{verb}: the process has gone{self._tail()}") from error

    def answer(self, verb: str) -> Any:
        """The answer to the command ``verb``. Raises ``PeerError``."""
        if not self.wire.poll(PATIENCE):
            raise PeerError(f"{verb}: no answer in {PATIENCE:.0f} s{self._tail()}")
        try:
            answer = json.loads(self.wire.recv_bytes())
        except (EOFError, OSError) as error:
            raise PeerError(f"{verb}: the process has gone{self._tail()}") from error
        if isinstance(answer, dict):
            raise PeerError(f"{verb}: {answer['error']}{self._tail()}")
        return answer

    def close(self) -> None:
        """Hang up, which ends the saver and all below it; insist after a while. Twice is fine."""
        self.wire.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        sweep(self.root)

    def _tail(self) -> str:
        text = self.log.read_text(errors="replace").strip()
        return f"\n{text[-TAIL:]}" if text else ""


def _spawn(spec: Spec, root: Path, fd: int, log: Path) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    # Whoever uses a package has its bytecode: without it, a first load mostly compiles.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with log.open("wb") as output:
        return subprocess.Popen(
            [spec.python, "-m", "benchmarks.peers.saver", spec.name, root, str(fd)],
            pass_fds=[fd],
            start_new_session=True,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
