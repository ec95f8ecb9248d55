"""A worker process: it builds the model, embeds, and does as its crew's leader says.

This module is imported by the leader too, so torch and transformers are imported late.
"""

from __future__ import annotations

import signal
import time
import traceback
from dataclasses import dataclass, field
from enum import Enum
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from onecopy.demo.sentences import SENTENCES
from onecopy.demo.variant import Variant

if TYPE_CHECKING:
    from onecopy.demo.embedder import Embedder


class Order(Enum):
    """What the leader may ask of a worker; each is answered by one message."""

    BUILD = "build the model"
    EMBED = "embed all sentences once"
    TOIL = "embed without end, answering once the first round is done"
    LEAVE = "exit; not answered"


@dataclass(frozen=True)
class Job:
    """What a worker is started with: the checkpoint, and the entry that holds its weights."""

    variant: Variant
    directory: Path
    store: str
    entry: str


@dataclass(frozen=True)
class Idle:
    """The worker is up, its sentences are tokenised, and it has no model yet."""


@dataclass(frozen=True)
class Done:
    """An order was carried out in `seconds`; `vectors` are the embeddings if it made any."""

    seconds: float
    vectors: bytes = b""


@dataclass(frozen=True)
class Failed:
    """The worker met an error and has exited."""

    summary: str
    details: str


Message = Idle | Done | Failed


def main(connection: Connection[Any, Any], job: Job) -> None:
    """Serve the leader until it says `LEAVE`, or until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the leader, who ends us
    try:
        _serve(_Worker.start(connection, job))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # the leader is gone: nobody is left to tell
    except Exception as error:
        summary = f"{type(error).__name__}: {error}"
        connection.send(Failed(summary, traceback.format_exc()))


def _serve(worker: _Worker) -> None:
    worker.connection.send(Idle())
    while (order := worker.connection.recv()) is not Order.LEAVE:
        worker.connection.send(worker.carry_out(order))
        if order is Order.TOIL:
            worker.toil()


@dataclass
class _Worker:
    connection: Connection[Any, Any]
    job: Job
    embedder: Embedder
    model: Any = field(default=None)

    @classmethod
    def start(cls, connection: Connection[Any, Any], job: Job) -> _Worker:
        import onecopy.demo.preload  # noqa: F401  done by the fork server already, as a rule
        from onecopy.demo.embedder import Embedder

        return cls(connection, job, Embedder(job.directory, SENTENCES))

    def carry_out(self, order: Order) -> Done:
        return self._build() if order is Order.BUILD else self._embed()

    def toil(self) -> None:
        while not self.connection.poll():
            self._embed()

    def _build(self) -> Done:
        from onecopy.demo.builders import build

        start = time.perf_counter()
        self.model = build(self.job.variant, self.job.directory, self.job.store, self.job.entry)
        return Done(time.perf_counter() - start)

    def _embed(self) -> Done:
        start = time.perf_counter()
        vectors = self.embedder.embed(self.model)
        return Done(time.perf_counter() - start, vectors)
