"""How soon is a store there, and how small does it stay?"""

from __future__ import annotations

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.procfs import pss, rss
from benchmarks.stage import KIB, Stage

CAST = ("onecopy", "plasma", "vineyard", "ray_numpy")
MB = 1e6
ENOUGH = 8e9  # nanoseconds: some stores take seconds
START, RSS, PSS = "start", "RSS", "PSS"


def ask(stage: Stage) -> Answer:
    """Start the store until it answers; then give it many small entries."""
    starts = Table("start of the store until it answers", "ms")
    sizes = Table(f"memory of its processes with {stage.scale.entries} entries of 1 KiB", "MB")
    for name in CAST:
        with stage.cast(name) as cast:
            for times in stage.once(
                cast, lambda agent: _starts(agent, stage.scale.starts)
            ).values():
                starts.put(name, START, Summary.of(times, 1e-6))
            for both in stage.once(cast, lambda agent: _fill(agent, stage.scale.entries)).values():
                sizes.put(name, RSS, Summary.of([both[0] / MB]))
                sizes.put(name, PSS, Summary.of([both[1] / MB]))
    entries = f"daemon with {stage.scale.entries} entries"
    return Answer("daemon", [starts, sizes], [
        Target("daemon starts", 150.0, starts.median("onecopy", START), "ms"),
        Target(f"{entries}, RSS", 30.0, sizes.median("onecopy", RSS), "MB"),
        Target(f"{entries}, PSS", 30.0, sizes.median("onecopy", PSS), "MB"),
    ])  # fmt: skip


def _starts(agent: Agent, count: int) -> list[int]:
    times: list[int] = []
    while len(times) < count and sum(times) < ENOUGH:
        times.append(agent.ask("restart"))
    return times


def _fill(agent: Agent, entries: int) -> tuple[int, int]:
    agent.ask("fill", size=KIB, count=entries)
    pids = agent.ask("pids")
    return rss(pids), pss(pids)
