"""A service that runs code of a test inside a worker."""

from __future__ import annotations

import textwrap
from typing import Any, ClassVar

from onecopy.guests.workers.messages import Message
from onecopy.guests.workers.remote import WorkerProcess

WITH_PROBE = ("onecopy.guests.workers.calls", "tests.guests.probing")  # without grammars: soon up


class Found(Message, frozen=True, gc=False):
    """What the code left in `found`, or the error that it raised, as text."""

    text: str


class Run(Message, frozen=True, gc=False):
    """Runs code; `worker` and `fds` are there."""

    answer: ClassVar[Any] = Found
    code: str


class Tell(Message, frozen=True, gc=False):
    """Runs code and answers nothing."""

    code: str


MESSAGES = Run | Tell


class Service:
    """Runs it."""

    def __init__(self, worker: Any) -> None:
        self.names: dict[str, Any] = {"worker": worker}

    def handle(self, message: Any, fds: list[int]) -> Message | None:
        self.names |= {"fds": fds, "found": None}
        try:
            exec(message.code, self.names)
        except OSError as error:
            self.names["found"] = f"{type(error).__name__} {error.errno}"
        return Found(str(self.names["found"])) if isinstance(message, Run) else None


def probe(worker: WorkerProcess, code: str, *fds: int) -> str:
    """Run code in a worker and return what it found."""
    return str(worker.request(Run(textwrap.dedent(code)), fds).text)
