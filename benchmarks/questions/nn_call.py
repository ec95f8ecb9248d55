"""What does a computation cost in the process of a model, over the same call in this process?"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

from benchmarks import models
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.rulers import Responder
from benchmarks.stage import Stage
from onecopy.nn.backends import registry
from onecopy.nn.backends.backend import Source

SHAPE = (1, 3, 224, 224)  # of float32: 0.6 MB
CALLS = 200  # of one round
DIRECT = "the backend in this process"
OURS = "through a context, outputs read"
PARTS = "of that, setting the input"
LEAST = "the same with an input of 12 bytes"
RULER = "two bare processes, one message each way"
WORK = "input of 0.6 MB"
now = time.perf_counter


def ask(stage: Stage) -> Answer:
    """Have the same model called directly and through its process, one after another."""
    import torch

    torch.set_num_threads(1)
    module = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    table = Table("one computation", "µs", ours=OURS)
    with models.host(stage, {"pool": module}) as host, closing(Responder()) as bare:
        work = _work(host, bare)
        times: dict[str, list[float]] = {title: [] for title in work}
        for _ in range(stage.scale.rounds * CALLS):
            for title, act in work.items():
                times[title].append(_time(act))
    for title, each in times.items():
        table.put_row(title, WORK, Summary.of(each, 1e6))
    over = table.rows[OURS][WORK].median - table.rows[DIRECT][WORK].median
    return Answer("nn_call", [table], [
        Target("a computation with an input of 0.6 MB, over the backend in Python", 200, over, "µs")
    ])  # fmt: skip


def _work(host: Any, bare: Responder) -> dict[str, Callable[[], object]]:
    import numpy as np

    image = np.random.default_rng(0).standard_normal(SHAPE, np.float32)
    data = memoryview(image.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    graph = host.load("pool")
    context, small = graph.context(), graph.context()
    source = Source(backend="pytorch", store=models.STORE, entry="pool")
    model: Any = registry.find("pytorch").load(source)
    small.set_input(0, "f32", (1, 3, 1, 1), bytes(12))

    def through() -> bytes:
        context.set_input(0, "f32", SHAPE, data)
        context.compute()
        return bytes(context.output(0))

    assert through() == model.infer([image])[0].tobytes()
    return {
        DIRECT: lambda: model.infer([image]),
        OURS: through,
        PARTS: lambda: context.set_input(0, "f32", SHAPE, data),
        LEAST: small.compute,
        RULER: bare.ask,
    }


def _time(act: Callable[[], object]) -> float:
    begin = now()
    act()
    return now() - begin
