"""How much memory do ten guests need that use one large model, over one of them?"""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import models
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.inferring import answer, guest
from benchmarks.procfs import pss
from benchmarks.stage import MIB, Stage, total
from onecopy.nn.service.running import running

MANY = 10
COUNTS = (1, MANY)


def ask(stage: Stage) -> Answer:
    """Let one guest, then ten at the same time, compute with the model, and add up the PSS."""
    sizes = stage.scale.layers
    title = f"PSS with a model of {total(sizes)}, every byte read"
    table = Table(title, "MiB", ours=f"{MANY} guests")
    nbytes = sum(sizes)
    with (
        models.host(stage, {"model": models.layers(nbytes)}) as host,
        host.load("model"),
        ExitStack() as stack,
    ):
        wasm = guest("model", (1, models.side(nbytes)))
        for count, before in zip(COUNTS, (0, *COUNTS), strict=False):
            for _ in range(count - before):
                stack.enter_context(_Guest(host, wasm))
            (loaded,) = running()
            sums = {"the model's process": pss([loaded.pid]), "the guests'": _guests(count)}
            for column, each in {**sums, "together": sum(sums.values())}.items():
                table.put_row(f"{count} guests", column, Summary.of([each / MIB]))
    one, many = (table.rows[f"{each} guests"]["together"].median for each in COUNTS)
    work = f"{MANY} guests with one model of {total(sizes)}: memory over that of one"
    return Answer("nn_memory", [table], [Target(work, 1.1, many / one, "x")])


def _guests(count: int) -> int:
    """Return the PSS of so many guests, and of the server that forks them.

    Of its children the largest count: another may be getting ready for the next guest.
    """
    (server,) = (each for each in _children("self") if b"onecopy.nn.guest" in _command(each))
    sizes = [pss([each]) for each in _children(server)]
    return pss([server]) + sum(sorted(sizes)[-count:])


def _children(pid: int | str) -> list[int]:
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(each) for file in listed for each in file.read_text().split()]


def _command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


class _Guest:
    """A guest that has computed, and waits."""

    def __init__(self, host: Any, wasm: bytes) -> None:
        self._input, self._end = os.pipe()
        self._output, self._answer = os.pipe()
        self._thread = threading.Thread(target=self._run, args=(host, wasm))

    def _run(self, host: Any, wasm: bytes) -> None:
        host.run(wasm, stdin=self._input, stdout=self._answer)
        os.close(self._answer)

    def __enter__(self) -> _Guest:
        self._thread.start()
        answer(self._output)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._end)
        self._thread.join()
        os.close(self._input)
        os.close(self._output)
