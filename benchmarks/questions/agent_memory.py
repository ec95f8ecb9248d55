"""How much memory does an agent take that waits for its host, as for an LLM?"""

from __future__ import annotations

import asyncio
from pathlib import Path

from benchmarks import agents
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.procfs import pss
from benchmarks.stage import MIB, Stage
from onecopy.agents import outcome
from onecopy.agents.worker.pool import Workers

LIMITS = {"JavaScript": 8.0, "Python": None}
EACH = "one more agent that waits"
WORKER = "the worker, with none"


def ask(stage: Stage) -> Answer:
    """Let 50 agents wait in one worker, and divide what it has grown by."""
    table = Table(f"PSS of a worker with {agents.MANY} agents that wait", "MiB", ours=EACH)
    targets = []
    for language, component in agents.components(stage).items():
        alone, many = _memory(component)
        each = (many - alone) / agents.MANY
        table.put_row(WORKER, language, Summary.of([alone / MIB]))
        table.put_row(EACH, language, Summary.of([each / MIB]))
        limit = LIMITS[language]
        if limit is not None:
            work = f"memory of an agent that waits, {agents.MANY} at once, {language}"
            targets.append(Target(work, limit, each / MIB, "MiB"))
    return Answer("agent_memory", [table], targets)


def _memory(component: Path) -> tuple[float, float]:
    """Return the bytes of a worker that has run one agent, and of one with many that wait."""
    found: list[float] = []

    async def act(workers: Workers) -> None:
        await workers.run(agents.event(""), agents.Host())
        found.append(pss(workers.pids))
        host = agents.Host()
        waiting = [
            asyncio.create_task(workers.run(agents.event("wait"), host)) for _ in range(agents.MANY)
        ]
        while host.waiting < agents.MANY:
            await asyncio.sleep(0.001)
        found.append(pss(workers.pids))
        host.released.set()
        for result in await asyncio.gather(*waiting):
            assert result.status == outcome.OK, result

    agents.with_workers(component, 1, act)
    alone, many = found
    return alone, many
