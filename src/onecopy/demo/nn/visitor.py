"""One guest of the demo: it runs in a thread, and waits at its end to be looked at."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from onecopy.demo.errors import DemoError

if TYPE_CHECKING:
    from onecopy.nn import Host
    from onecopy.nn.guest.invocation import Folders

PATIENCE: Final = 120
"""Seconds in which a guest has to end."""


@dataclass(frozen=True)
class Found:
    """What a guest has worked out."""

    seconds: float
    """From its start to its first inference."""
    rest: float
    """From there until it was done."""
    answers: list[int]
    vectors: bytes


class Visitor:
    """A guest that embeds texts and says what is nearest; on leaving the block it is let go.

    with Visitor(host, wasm, texts, out) as visitor:
        found = visitor.listen()
    """

    def __init__(self, host: Host, wasm: bytes, texts: Path, out: Path) -> None:
        out.mkdir()
        self._host, self._wasm, self._out = host, wasm, out
        self._folders: Folders = {"texts": (texts, "ro"), "out": out}
        self._error: BaseException | None = None
        self._status = 0

    def __enter__(self) -> Visitor:
        stdin, self._input = os.pipe()
        self._output, stdout = os.pipe()
        self._began = time.perf_counter()
        self._thread = threading.Thread(target=self._work, args=(stdin, stdout))
        self._thread.start()
        return self

    def _work(self, stdin: int, stdout: int) -> None:
        try:
            self._status = self._host.run(
                self._wasm, dirs=self._folders, stdin=stdin, stdout=stdout, timeout=PATIENCE
            )
        except BaseException as error:
            self._error = error
        finally:
            os.close(stdin)
            os.close(stdout)  # who listens is told

    def listen(self) -> Found:
        """Return what it has found, once it is done and waits.

        Raises:
            DemoError: it has failed.
        """
        with os.fdopen(os.dup(self._output)) as lines:
            said = [lines.readline().strip()]
            first = time.perf_counter()
            while said[-1] and said[-1] != "done":
                said.append(lines.readline().strip())
            last = time.perf_counter()
        if said[0] != "ready" or said[-1] != "done":
            self._thread.join()
            raise DemoError(f"a guest failed: {self._error or f'status {self._status}'}")
        vectors = (self._out / "vectors").read_bytes()
        answers = [int(each) for each in said[1:-1]]
        return Found(first - self._began, last - first, answers, vectors)

    def __exit__(self, *_: Any) -> None:
        os.close(self._input)
        self._thread.join()
        with suppress(OSError):
            os.close(self._output)


def pids() -> list[int]:
    """Return the processes of all guests of this process, and the one kept ready for the next."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return [pid for pid in found if _is_guest(pid)]


def _is_guest(pid: int) -> bool:
    with suppress(OSError):
        return b"onecopy.nn.guest.runner" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False
