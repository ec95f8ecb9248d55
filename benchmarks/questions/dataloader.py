"""How long does a large batch take from a DataLoader worker, and where is it meanwhile?"""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target, over
from benchmarks.stage import MIB, Stage, named

CAST = ("onecopy", "torch_loader")
KINDS = ("tensors", "arrays")
DEV_SHM, STORE = "peak of /dev/shm", "peak in the store"


def ask(stage: Stage) -> Answer:
    """One worker makes batches as fast as it can; the main process reads every byte of them."""
    size, count = stage.scale.batch, stage.scale.batches
    times = Table(f"a batch of {named(size)}, from the call to the batch", "ms")
    memory = [Table(f"{named(size)} a batch, {kind}", "MiB") for kind in KINDS]
    with stage.cast(*CAST) as cast:
        for kind, table in zip(KINDS, memory, strict=True):
            turns = stage.turns(cast, partial(_epoch, size=size, kind=kind, count=count))
            for name, measured in turns.items():
                _tell(name, kind, measured, times, table)
    ratio = over(times.median("onecopy", KINDS[0]), times.median("torch_loader", KINDS[0]))
    work = f"batches of {named(size)}, tensors: over torch's DataLoader"
    return Answer("dataloader", [times, *memory], [Target(work, 1.0, ratio, "x")])


def _epoch(agent: Agent, size: int, kind: str, count: int) -> list[Any]:
    measured: list[Any] = agent.ask("batches", size=size, kind=kind, count=count)
    return measured


def _tell(name: str, kind: str, measured: list[Any], times: Table, memory: Table) -> None:
    if not measured:
        return
    times.put(name, kind, Summary.of((one for turn in measured for one in turn[0]), 1e-6))
    memory.put(name, DEV_SHM, Summary.of((turn[1] for turn in measured), 1 / MIB))
    memory.put(name, STORE, Summary.of((turn[2] for turn in measured), 1 / MIB))
