"""What does it cost to load again what this process has already loaded?"""

from __future__ import annotations

from functools import partial

from benchmarks.agent import Agent, PeerError
from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.peers.tracing import available
from benchmarks.stage import MIB, Cast, Stage, flat, named

CAST = ("onecopy", "readonly", "shared", "shared_memory", "plasma", "ray_numpy")
ALIASING = ("readonly", "shared")
LOADS = 2_000


def ask(stage: Stage) -> Answer:
    """Repeat a load while an earlier result lives; count the system calls of many repeats."""
    times = Table("repeated load while an earlier result lives", "µs", ours="readonly")
    calls = Table(f"system calls of {stage.scale.repeats} repeated loads", "calls", ours="readonly")
    with stage.cast(*CAST) as cast:
        keys = stage.once(cast, partial(Agent.ask, verb="save", sizes=[MIB]))
        stage.hire(cast, 1)
        times.add(named(MIB), _times(stage, cast, keys))
        calls.add("calls", _calls(stage, cast, keys))
    return Answer("repeat", [times, calls], _targets(stage, times, calls))


def _times(stage: Stage, cast: Cast, keys: dict[str, int]) -> dict[str, Summary]:
    def turn(agent: Agent) -> list[int]:
        times: list[int] = agent.ask("repeat", key=keys[agent.spec.name], count=LOADS)
        return times

    turns = stage.turns(cast, turn)
    samples = flat({name: turns[name] for name in cast})
    return {name: Summary.of(times, 1e-3) for name, times in samples.items()}


def _calls(stage: Stage, cast: Cast, keys: dict[str, int]) -> dict[str, Summary]:
    if not available():
        stage.notes.append("repeat: strace is not installed, so system calls were not counted")
        return {}
    counted = {}
    for name in ("onecopy", *ALIASING):  # the first does make calls: a check of the counting
        try:
            calls = cast[name].ask("calls", key=keys[name], count=stage.scale.repeats)
            counted[name] = Summary.of([calls])
        except (KeyError, PeerError) as error:
            stage.notes.append(f"repeat: system calls of {name} were not counted: {error}")
    return counted


def _targets(stage: Stage, times: Table, calls: Table) -> list[Target]:
    targets = []
    for name in ALIASING:
        targets.append(Target(f"repeated load, {name}", 2.0, times.median(name, named(MIB)), "µs"))
        work = f"system calls of {stage.scale.repeats} repeated loads, {name}"
        targets.append(Target(work, 0, calls.median(name, "calls")))
    return targets
