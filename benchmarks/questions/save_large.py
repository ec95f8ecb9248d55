"""How much of the memory's speed does a large save reach?"""

from __future__ import annotations

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target, over
from benchmarks.stage import Stage, flat, named

STORES = ("memfd", "from_file", "safetensors", "shared_memory", "queue", "plasma", "vineyard")
CAST = ("onecopy", *STORES, "torch_mmap", "ray_numpy", "ray_torch")
SAVES = 2
PAUSE = 0.1


def ask(stage: Stage) -> Answer:
    """Save a large tensor, in turns with one plain write of a fresh memfd: the limit."""
    size = stage.scale.large
    table = Table(f"save of {named(size)}", "GB/s")

    def turn(agent: Agent) -> list[int]:
        times: list[int] = agent.ask("time_save", sizes=[size], count=SAVES, pause=PAUSE)
        return times

    with stage.cast(*CAST) as cast:
        stage.once(cast, turn)  # warms the pages of stores that keep them
        turns = stage.turns(cast, turn)
        samples = flat({name: turns[name] for name in cast})
        table.add(named(size), {name: _speeds(size, times) for name, times in samples.items()})
    return Answer("save_large", [table], [_target(table, named(size))])


def _speeds(size: int, times: list[int]) -> Summary:
    return Summary.of(size / nanoseconds for nanoseconds in times)


def _target(table: Table, column: str) -> Target:
    reached = over(table.median("onecopy", column), table.median("memfd", column))
    return Target(
        f"save {column}: over one write of a fresh memfd", 0.9, reached, "x", at_least=True
    )
