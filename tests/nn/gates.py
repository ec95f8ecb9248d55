"""Gates at which a test's backends wait (`arithmetic._pass`)."""

from __future__ import annotations

import os
from pathlib import Path


class Gate:
    """Two named pipes: one that says who arrived, one that lets them pass.

    The test has both ends of both open, so that nothing that was written is lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        for end in ("in", "out"):
            os.mkfifo(f"{path}.{end}")
        self._arrivals = os.open(f"{path}.in", os.O_RDWR)
        self._passes = os.open(f"{path}.out", os.O_RDWR)

    def await_arrival(self) -> None:
        """Return when somebody is at the gate."""
        assert os.read(self._arrivals, 1) == b"."

    def open(self, times: int = 1) -> None:
        """Let one pass, or several: who is there, or comes next."""
        os.write(self._passes, b"." * times)

    def close(self) -> None:
        """Forget the pipes."""
        os.close(self._arrivals)
        os.close(self._passes)
