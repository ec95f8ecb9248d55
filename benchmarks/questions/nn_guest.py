"""How soon has a guest its first answer of a model that is loaded, from the start of its module?"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import Any

from benchmarks import models
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.inferring import guest
from benchmarks.stage import SMALLEST, Stage

GUESTS = 10  # of one round
PAUSE = 1.0  # in which the host gets the process of the next guest ready
OURS = "the answer, from the start of a guest"
EXIT = "its exit, after the answer"
FIRST = "the first answer: nothing is compiled or ready"
now = time.perf_counter


def ask(stage: Stage) -> Answer:
    """Run guests one after another, which all use one model."""
    import torch

    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    wasm = guest("pool", (1, 3, 224, 224))
    table = Table("one inference of 0.6 MB by a guest of its own", "ms", ours=OURS)
    count = 2 if stage.scale is SMALLEST else stage.scale.rounds * GUESTS
    with models.host(stage, {"pool": module}) as host, host.load("pool"):
        table.put_row(FIRST, "time", Summary.of([_run(host, wasm)[0]], 1e3))
        times = []
        for _ in range(count):
            time.sleep(PAUSE)
            times.append(_run(host, wasm))
        for title, each in zip((OURS, EXIT), zip(*times, strict=True), strict=True):
            table.put_row(title, "time", Summary.of(each, 1e3))
    took = table.rows[OURS]["time"].median
    work = "a guest's inference on a loaded model, from module start to the answer"
    return Answer("nn_guest", [table], [Target(work, 5, took, "ms")])


def _run(host: Any, wasm: bytes) -> tuple[float, float]:
    """Return the seconds until a guest's answer came, and from there to its end."""
    reader, writer = os.pipe()
    came: list[float] = []

    def read() -> None:
        os.read(reader, 64)
        came.append(now())

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
    return came[0] - begin, end - came[0]
