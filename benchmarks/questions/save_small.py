"""How long does a small save take?"""

from __future__ import annotations

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import KIB, Stage, flat, named

STORES = ("memfd", "from_file", "safetensors", "shared_memory", "queue", "plasma", "vineyard")
CAST = ("onecopy", *STORES, "torch_mmap", "ray_numpy", "ray_torch")
SAVES = 100


def ask(stage: Stage) -> Answer:
    """Save 1 KiB under a new name and remove it again, outside the timer."""
    table = Table("save of 1 KiB", "µs")

    def turn(agent: Agent) -> list[int]:
        times: list[int] = agent.ask("time_save", sizes=[KIB], count=SAVES, pause=0.0)
        return times

    with stage.cast(*CAST) as cast:
        turns = stage.turns(cast, turn)
        samples = flat({name: turns[name] for name in cast})
        table.add(named(KIB), {name: Summary.of(times, 1e-3) for name, times in samples.items()})
    return Answer(
        "save", [table], [Target("save 1 KiB", 60.0, table.median("onecopy", named(KIB)), "µs")]
    )
