"""Do loads scale with the readers, or does the store stand in the way?"""

from __future__ import annotations

from functools import partial

from benchmarks.agent import Agent
from benchmarks.answer import Answer, Summary, Table, Target, over
from benchmarks.procfs import cpu_seconds
from benchmarks.stage import KIB, Cast, Stage

CAST = ("onecopy", "from_file", "shared_memory", "plasma", "ray_numpy")
READERS = (1, 2)
WARM_UP = 0.01  # seconds; the first load imports what later ones use
NEARLY_TWICE = 1.8
IDLE = 1.0

Counted = tuple[float, float]  # loads a second of all readers; the store's share of a core in %


def ask(stage: Stage) -> Answer:
    """Count loads of 1 KiB with one and with two readers, and what the store's processes use."""
    rates = Table("loads of 1 KiB a second, all readers together", "1000/s")
    busy = Table("processor time of the store's own processes meanwhile", "% of a core")
    for name in CAST:  # one at a time: two readers need the cores for themselves
        with stage.cast(name) as cast:
            keys = stage.once(cast, partial(Agent.ask, verb="save", sizes=[KIB]))
            stage.hire(cast, max(READERS))
            _measure(stage, cast, keys, rates, busy)
    return Answer("rate", [rates, busy], _targets(rates, busy))


def _measure(stage: Stage, cast: Cast, keys: dict[str, int], rates: Table, busy: Table) -> None:
    def turn(agent: Agent) -> list[Counted]:
        key, window = keys[agent.spec.name], stage.scale.window
        return [_count(agent, key, readers, window) for readers in READERS]

    stage.once(cast, lambda agent: _count(agent, keys[agent.spec.name], max(READERS), WARM_UP))
    turns = stage.turns(cast, turn)
    for number, readers in enumerate(READERS):
        counted = {name: [turn[number] for turn in turns[name]] for name in cast}
        for name, both in counted.items():
            rates.put(name, _column(readers), Summary.of([rate / 1000 for rate, _ in both]))
            busy.put(name, _column(readers), Summary.of([share for _, share in both]))


def _count(agent: Agent, key: int, readers: int, window: float) -> Counted:
    pids = agent.ask("pids")
    before = cpu_seconds(pids)
    rates = agent.ask("rate", key=key, readers=readers, seconds=window)
    return sum(rates), 100 * (cpu_seconds(pids) - before) / window


def _column(readers: int) -> str:
    return f"{readers} reader{'s' if readers > 1 else ''}"


def _targets(rates: Table, busy: Table) -> list[Target]:
    one, two = (rates.median("onecopy", _column(readers)) for readers in READERS)
    share = busy.median("onecopy", _column(max(READERS)))
    return [
        Target("loads/s, 2 readers over 1", NEARLY_TWICE, over(two, one), "x", at_least=True),
        Target("daemon during these loads, of a core", IDLE, share, "%"),
    ]
