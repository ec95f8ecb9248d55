"""How long does a second worker wait for a checkpoint of transformers?"""

from __future__ import annotations

from typing import Any

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target, over
from benchmarks.stage import Stage, flat

CAST = ("pretrained", "transformers")
READY = "a ready model"


def ask(stage: Stage) -> Answer:
    """Load the demo's model again and again; all packages have been imported."""
    table = Table("from_pretrained of the demo's model", "ms", ours="pretrained")
    with stage.cast(*CAST) as cast:
        keys = stage.once(cast, lambda agent: agent.ask("save", sizes=[0]))
        stage.hire(cast, 1)

        def turn(agent: Agent) -> Any:
            chosen = [keys[agent.spec.name]]
            return agent.ask("load", keys=chosen, budget=2 * stage.scale.budget)[0]

        turns = stage.turns(cast, turn)
        samples = flat({name: turns[name] for name in cast})
    table.add(READY, {name: Summary.of(times, 1e-6) for name, times in samples.items()})
    ours, theirs = (table.median(name, READY) for name in CAST)
    work = "from_pretrained of the demo's model, second worker, against transformers'"
    return Answer(
        "pretrained", [table], [Target(work, 5.0, over(theirs, ours), "x", at_least=True)]
    )
