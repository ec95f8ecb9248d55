"""How soon has a guest its first answer of a model that is loaded already?

From the start of its module, by the guest's own clock; and, beside it, from the call of `Host.run`
until the answer has come out of the guest. A bare process is the ruler: it is forked and answers.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import Any

from benchmarks import models
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.inferring import answer, guest, seconds
from benchmarks.rulers import Responder
from benchmarks.stage import SMALLEST, Stage

GUESTS = 10  # of one round
PAUSE = 1.0  # in which the host gets the process of the next guest ready
STARTED = "from the start of its module to the answer"
OURS = "from the call of host.run to the answer"
EXIT = "from the answer to the end of the call"
UNREADY = "the same right after another guest: no process is ready"
FIRST = "the first guest, from the call: nothing is compiled or ready"
RULER = "ruler: a message to a bare process, and back"
now = time.perf_counter


def ask(stage: Stage) -> Answer:
    """Run guests one after another, which all use one model."""
    import torch

    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    wasm = guest("pool", (1, 3, 224, 224))
    table = Table("one inference of 0.6 MB by a guest of its own", "ms", ours=OURS)
    count = 2 if stage.scale is SMALLEST else stage.scale.rounds * GUESTS
    ruler = Responder()
    with models.host(stage, {"pool": module}) as host, host.load("pool"):
        table.put_row(FIRST, "time", Summary.of([_run(host, wasm)[1]], 1e3))
        times = []
        for _ in range(count):
            time.sleep(PAUSE)
            times.append((*_run(host, wasm), _run(host, wasm)[1], ruler.ask()))
    ruler.close()
    titles = (STARTED, OURS, EXIT, UNREADY, RULER)
    for title, each in zip(titles, zip(*times, strict=True), strict=True):
        table.put_row(title, "time", Summary.of(each, 1e3))
    targets = [_target(STARTED, table), _target(OURS, table)]
    return Answer("nn_guest", [table], targets)


def _target(title: str, table: Table) -> Target:
    work = f"a further guest's inference on a loaded model, {title}"
    return Target(work, 5, table.rows[title]["time"].median, "ms")


def _run(host: Any, wasm: bytes) -> tuple[float, float, float]:
    """Return the seconds that a guest took by itself, from the call, and to the end of the call."""
    reader, writer = os.pipe()
    came: list[tuple[bytes, float]] = []

    def read() -> None:
        came.append((answer(reader), now()))

    thread = threading.Thread(target=read)
    thread.start()
    begin = now()
    status = host.run(wasm, stdin=subprocess.DEVNULL, stdout=writer)
    end = now()
    os.close(writer)
    thread.join()
    os.close(reader)
    if status:
        raise RuntimeError(f"the guest ended with {status}")
    said, at = came[0]
    return seconds(said), at - begin, end - at
