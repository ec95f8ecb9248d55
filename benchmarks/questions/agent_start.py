"""How soon does an agent handle an event, and how many of them does a machine run in a second?"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import agents
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import Stage
from onecopy.agents import outcome
from onecopy.agents.worker.pool import Workers

EVENTS = 60  # of one round
LIMITS = {"JavaScript": 3.0, "Python": 6.0}
START = "event to `handle` running"
WHOLE = "event to outcome"
RULER = "python -c pass, to its end"
now = time.perf_counter


def ask(stage: Stage) -> Answer:
    """Run agents one after another, beside starts of Python, and then many at once."""
    times = Table("one event of an agent that returns at once", "ms", ours=START)
    rates = Table(f"agents that return at once, {agents.MANY} at once", "1/s", ours="two workers")
    targets = []
    for language, component in agents.components(stage).items():
        _starts(stage, component, language, times)
        rate = _rate(stage, component)
        rates.put_row("two workers", language, rate)
        took = times.rows[START][language].median
        work = f"event to `handle` running, {language}"
        targets += [
            Target(work, LIMITS[language], took, "ms"),
            Target(
                f"a Python process start, over that, {language}",
                10,
                times.rows[RULER][language].median / took,
                "x",
                at_least=True,
            ),
            Target(f"agents run, {language}", 200, rate.median, "1/s", at_least=True),
        ]
    return Answer("agent_start", [times, rates], targets)


def _starts(stage: Stage, component: Path, language: str, table: Table) -> None:
    samples: dict[str, list[float]] = {START: [], WHOLE: [], RULER: []}

    async def act(workers: Workers) -> None:
        await _run(workers)
        for at in range(stage.scale.rounds * EVENTS):
            begin = now()
            started = await _run(workers)
            samples[WHOLE].append((now() - begin) * 1e3)
            samples[START].append(started)
            if at % 10 == 0:
                begin = now()
                subprocess.run([sys.executable, "-c", "pass"], check=True)
                samples[RULER].append((now() - begin) * 1e3)

    agents.with_workers(component, 1, act)
    for title, each in samples.items():
        table.put_row(title, language, Summary.of(each))


async def _run(workers: Workers) -> float:
    result = await workers.run(agents.event(""), agents.Host())
    assert result.status == outcome.OK, result
    return result.started_ms


def _rate(stage: Stage, component: Path) -> Summary:
    rates: list[float] = []

    async def act(workers: Workers) -> None:
        for _ in range(stage.scale.rounds):
            begin = now()
            await asyncio.gather(*(_run(workers) for _ in range(4 * EVENTS)))
            rates.append(4 * EVENTS / (now() - begin))

    agents.with_workers(component, 2, act)
    return Summary.of(rates)
