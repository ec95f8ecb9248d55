"""How long until a whole module is ready, and how much memory do several workers need for it?"""

from __future__ import annotations

from typing import Any

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target, over
from benchmarks.questions import memory
from benchmarks.stage import Cast, Stage, flat, total

CAST = ("module", "assigned")
FIRST, LATER = "the first in a process", "later ones"


def ask(stage: Stage) -> Answer:
    """Load the module; no weight is touched for the times, all are for the memory."""
    layers = stage.scale.layers
    times = Table(f"a ready nn.Module of {total(layers)}", "ms", ours="module")
    with stage.cast(*CAST) as cast:
        keys = stage.once(cast, lambda agent: agent.ask("save", sizes=list(layers)))
        times.add(FIRST, _first(stage, cast, keys))
        times.add(LATER, _later(stage, cast, keys))
    tables, ratio = memory.tables(stage, CAST, ours="module")
    work = f"ready nn.Module, {total(layers)}"
    ours, theirs = (times.median(name, LATER) for name in CAST)
    return Answer("module", [times, *tables], [
        Target(work, 5.0, ours, "ms"),
        Target(f"{work}, {FIRST}", 5.0, times.median("module", FIRST), "ms"),
        Target(f"{work}, against load_file + assign", 8.0, over(theirs, ours), "x", at_least=True),
        Target(f"{stage.scale.workers} workers with it: PSS over one copy", 1.05, ratio, "x"),
    ])  # fmt: skip


def _first(stage: Stage, cast: Cast, keys: dict[str, Any]) -> dict[str, Summary]:
    """Of readers that have imported torch, and loaded nothing yet."""

    def turn(agent: Agent) -> Any:
        agent.ask("hire", count=1)
        times = agent.ask("first", key=keys[agent.spec.name])
        agent.ask("dismiss")
        return times

    return _summaries(stage.turns(cast, turn))


def _later(stage: Stage, cast: Cast, keys: dict[str, Any]) -> dict[str, Summary]:
    def turn(agent: Agent) -> Any:
        chosen = [keys[agent.spec.name]]
        return agent.ask("load", keys=chosen, budget=2 * stage.scale.budget)[0]

    stage.hire(cast, 1)
    return _summaries(stage.turns(cast, turn))


def _summaries(turns: dict[str, list[Any]]) -> dict[str, Summary]:
    return {name: Summary.of(times, 1e-6) for name, times in flat(turns).items()}
