"""Servers of agents, in processes of their own."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.agents.server.conftest import SECRET
from tests.cli.commands import started

PORTS = ("--listen", "127.0.0.1:0", "--status", "127.0.0.1:0")


class Served:
    """A server that has said where it is."""

    def __init__(self, process, said: str) -> None:
        self.process = process
        self.hook = re.search(r"webhook +(\S+)", said)[1]
        self.status = re.search(r"status +(\S+)", said)[1]

    def send(self, do: str, delivery: str, secret: str = SECRET) -> dict[str, str]:
        """Send a delivery, signed as GitHub does, and return the answer."""
        body = json.dumps({"action": "now", "number": 1, "do": f"!{do}"}).encode()
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "X-Hub-Signature-256": f"sha256={signature}",
            "X-GitHub-Event": "asked",
            "X-GitHub-Delivery": delivery,
        }
        with urllib.request.urlopen(urllib.request.Request(self.hook, body, headers)) as answer:
            return json.load(answer)

    def page(self, path: str = "/", host: str = "localhost") -> str:
        """Return a page of the status side."""
        request = urllib.request.Request(self.status + path, headers={"Host": host})
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()

    def end(self) -> int:
        """End it as a service manager does, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        self.process.stdout.read()
        return self.process.wait()


@contextmanager
def serving_folder(
    folder: Path, state: Path, secrets: dict[str, str], *options: str
) -> Iterator[Served]:
    """Serve an agent, at ports that are free, until it is ended or no longer needed."""
    line = ("agent", "serve", folder, *PORTS, "--state", state, *options)
    process = started(*line, env={**os.environ, **secrets})
    with process:
        try:
            said = ""
            while "status " not in said:
                line_said = process.stdout.readline()
                assert line_said, said
                said += line_said
            yield Served(process, said)
        finally:
            process.poll() is None and process.kill()
            process.stdout.read()
