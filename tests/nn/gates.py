"""Gates at which a test's backends wait (`arithmetic._pass`)."""

from __future__ import annotations

import os
from pathlib import Path


class Gate:
    """Two named pipes: one that says who arrived, one that lets them pass."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        for end in ("in", "out"):
            os.mkfifo(f"{path}.{end}")

    def await_arrival(self) -> None:
        """Return when somebody is at the gate."""
        with open(f"{self.path}.in", "rb", buffering=0) as arrived:
            assert arrived.read(1) == b"."

    def await_arrivals(self, count: int) -> None:
        """Return when so many are there at the same time."""
        while count:
            with open(f"{self.path}.in", "rb", buffering=0) as arrived:
                count -= len(arrived.read(count) or b"")

    def open(self) -> None:
        """Let one pass, who is there."""
        with open(f"{self.path}.out", "wb", buffering=0) as opened:
            opened.write(b".")
