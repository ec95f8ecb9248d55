"""How long until a model of many tensors is here, as one entry and as one entry per tensor?"""

from __future__ import annotations

from typing import Any

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import Cast, Stage, flat, total

STORES = ("from_file", "safetensors", "shared_memory", "plasma", "torch_mmap", "queue")
CAST = ("onecopy", *STORES, "vineyard", "ray_numpy", "ray_torch")
ONE, MANY = "one entry", "an entry for each, one call"


def ask(stage: Stage) -> Answer:
    """Load all tensors without touching their bytes."""
    table = Table(f"load of {total(stage.scale.layers)}, no byte touched", "ms")
    with stage.cast(*CAST) as cast:
        stage.hire(cast, 1)
        table.add(ONE, _one(stage, cast))
        cast.pop("queue", None)  # it has no names: many entries are many messages
        table.add(MANY, _many(stage, cast))
    targets = [
        Target(f"{total(stage.scale.layers)}, {ONE}", 1.2, table.median("onecopy", ONE), "ms"),
        Target(f"{total(stage.scale.layers)}, {MANY}", 4.0, table.median("onecopy", MANY), "ms"),
    ]
    return Answer("model", [table], targets)


def _one(stage: Stage, cast: Cast) -> dict[str, Summary]:
    keys = stage.once(cast, lambda agent: [agent.ask("save", sizes=list(stage.scale.layers))])
    return _measure(stage, cast, keys, many=False)


def _many(stage: Stage, cast: Cast) -> dict[str, Summary]:
    def save(agent: Agent) -> list[int]:
        return [agent.ask("save", sizes=[size]) for size in stage.scale.layers]

    return _measure(stage, cast, stage.once(cast, save), many=True)


def _measure(
    stage: Stage, cast: Cast, keys: dict[str, list[int]], many: bool
) -> dict[str, Summary]:
    def turn(agent: Agent) -> Any:
        chosen = keys[agent.spec.name]
        return agent.ask("load", keys=chosen, budget=2 * stage.scale.budget, many=many)[0]

    turns = stage.turns(cast, turn)
    stage.once(cast, lambda agent: [agent.ask("drop", key=k) for k in keys[agent.spec.name]])
    samples = flat({name: turns[name] for name in cast})
    return {name: Summary.of(times, 1e-6) for name, times in samples.items()}
