"""How much memory do several workers need that use one model?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.agent import Agent, PeerError
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.peers.base import ITEM
from benchmarks.procfs import pss
from benchmarks.stage import KIB, MIB, Stage, total

STORES = ("safetensors", "torch_copy", "shared_memory", "plasma", "vineyard")
CAST = ("onecopy", *STORES, "ray_numpy", "ray_torch")
WITHOUT, WITH, EVERYBODY = "workers without it", "workers with it", "all processes, added by it"
RATIO = "workers with it over one copy plus interpreters"


def ask(stage: Stage) -> Answer:
    """Let every worker read every byte of the model, and add up the PSS of all."""
    layers, workers = stage.scale.layers, stage.scale.workers
    both, ratio = tables(stage, CAST, ours="onecopy")
    work = f"{workers} workers, {total(layers)}: PSS over one copy plus interpreters"
    return Answer("memory", both, [Target(work, 1.05, ratio, "x")])


def tables(stage: Stage, names: Sequence[str], ours: str) -> tuple[list[Table], float | None]:
    """Measure these peers: their memory, and over the ideal; and the latter of ours alone."""
    layers, workers = stage.scale.layers, stage.scale.workers
    title = f"PSS of {workers} workers with a model of {total(layers)}, every byte read"
    sizes, ratios = Table(title, "MiB", ours=ours), Table("of the ideal", "x", ours=ours)
    for name in names:  # one at a time: this needs the memory
        with stage.cast(name) as cast:
            for measured in stage.once(
                cast, lambda agent: _measure(agent, layers, workers)
            ).values():
                _tell(name, measured, sizes, ratios)
    return [sizes, ratios], ratios.median(ours, RATIO)


def _measure(agent: Agent, layers: tuple[int, ...], count: int) -> dict[str, float]:
    workers = agent.ask("hire", count=count)
    others = [agent.process.pid, *agent.ask("pids")]
    agent.ask("hold", key=agent.ask("save", sizes=[KIB]))
    without, beside = pss(workers), pss(others)
    sums = agent.ask("hold", key=agent.ask("save", sizes=list(layers)))
    _check(sums, layers)
    loaded = pss(workers)
    added = loaded + pss(others) - without - beside
    ratio = loaded / (sum(layers) + without)
    return {WITHOUT: without / MIB, WITH: loaded / MIB, EVERYBODY: added / MIB, RATIO: ratio}


def _check(sums: list[float], layers: tuple[int, ...]) -> None:
    """The values are ones."""
    expected = sum(size // ITEM for size in layers)
    if any(found != expected for found in sums):
        raise PeerError(f"workers read wrong values: {sums}, not {expected}")


def _tell(name: str, measured: dict[str, Any], sizes: Table, ratios: Table) -> None:
    for column, value in measured.items():
        table = ratios if column == RATIO else sizes
        table.put(name, column, Summary.of([value]))
