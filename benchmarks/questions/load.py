"""How long until a tensor that another process saved is a tensor here?"""

from __future__ import annotations

from functools import partial

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target, over
from benchmarks.stage import KIB, MIB, Cast, Stage, flat, named

STORES = ("from_file", "shared_memory", "plasma", "safetensors", "queue", "torch_mmap")
CAST = ("onecopy", *STORES, "vineyard", "ray_numpy", "ray_torch")
UNTOUCHED, TOUCHED, RELEASE = "no byte touched", "first byte touched", "release of the result"
LIMITS = {UNTOUCHED: 12.0, TOUCHED: 16.0}


def ask(stage: Stage) -> Answer:
    """Load, touch and release one tensor, over and over, in a process that did not save it."""
    tables = {title: Table(f"load, {title}", "µs") for title in (UNTOUCHED, TOUCHED, RELEASE)}
    with stage.cast(*CAST) as cast:
        stage.hire(cast, 1)
        for size in stage.scale.loads:
            _measure(stage, cast, size, tables)
    return Answer("load", list(tables.values()), _targets(tables))


def _measure(stage: Stage, cast: Cast, size: int, tables: dict[str, Table]) -> None:
    keys = stage.once(cast, partial(Agent.ask, verb="save", sizes=[size]))
    turns = stage.turns(cast, lambda agent: _turn(agent, keys[agent.spec.name], stage))
    for number, title in enumerate((UNTOUCHED, TOUCHED, RELEASE)):
        samples = flat({name: [turn[number] for turn in turns[name]] for name in cast})
        tables[title].add(named(size), _microseconds(samples))
    stage.once(cast, lambda agent: agent.ask("drop", key=keys[agent.spec.name]))


def _turn(agent: Agent, key: int, stage: Stage) -> tuple[list[int], list[int], list[int]]:
    budget = stage.scale.budget
    untouched, release = agent.ask("load", keys=[key], budget=budget)
    touched, _ = agent.ask("load", keys=[key], budget=budget, touch=True)
    return untouched, touched, release


def _microseconds(samples: dict[str, list[int]]) -> dict[str, Summary]:
    return {name: Summary.of(times, 1e-3) for name, times in samples.items()}


def _targets(tables: dict[str, Table]) -> list[Target]:
    targets = []
    for title, limit in LIMITS.items():
        for size in (KIB, MIB):
            targets += _of_cell(tables[title], title, named(size), limit)
    return targets


def _of_cell(table: Table, title: str, size: str, limit: float) -> list[Target]:
    mine = table.median("onecopy", size)
    plasma, ray = table.median("plasma", size), table.median("ray_numpy", size)
    work = f"load {size}, {title}"
    return [
        Target(work, limit, mine, "µs"),
        Target(f"{work}: over Plasma", 0.5, over(mine, plasma), "x"),
        Target(f"{work}: over ray.get", 0.25, over(mine, ray), "x"),
    ]
