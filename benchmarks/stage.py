"""Where a question is asked: how much of everything, which peers, and fair turns for each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.agent import Agent, PeerError
from benchmarks.peers.registry import OURS, PEERS, Spec
from benchmarks.procfs import cpu_seconds

KIB, MIB = 1 << 10, 1 << 20
_SETUP = "python -m benchmarks.peers.setup"
SETTLE, WATCH, IDLE = 20.0, 0.3, 0.15  # at most; between two looks; share of a core


@dataclass(frozen=True)
class Scale:
    """How much is measured. Times are in seconds, sizes in bytes."""

    loads: tuple[int, ...]
    """Sizes of single tensors that are loaded."""
    layers: tuple[int, ...]
    """Sizes of the tensors of the model."""
    large: int
    """Size of the large save."""
    rounds: int
    """Turns of each peer."""
    budget: float
    """Time of one peer for one number in one turn."""
    repeats: int
    """Repeated loads under strace."""
    window: float
    """Time over which loads per second are counted."""
    workers: int
    """Processes that use the model at the same time."""
    starts: int
    """Starts of each daemon."""
    entries: int
    """Entries in the daemon whose memory is looked at."""
    batch: int
    """Size of a batch from a DataLoader worker."""
    batches: int
    """Batches in one turn."""
    block: int
    """Size of the module that is made in the store."""
    snapshot: int
    """Size of what is written to disk."""
    files: int
    """Entries in a directory that is opened again."""
    file: int
    """Size of each, where they are sparse."""


LAYER = 1_666_668  # 300 of them are 500 MB
FULL = Scale(
    loads=(KIB, MIB, 256 * MIB),
    layers=(LAYER,) * 300,
    large=256 * MIB,
    rounds=5,
    budget=0.15,
    repeats=10_000,
    window=1.0,
    workers=4,
    starts=7,
    entries=10_000,
    batch=64 * MIB,
    batches=12,
    block=512 * MIB,
    snapshot=1_000_000_000,
    files=1_000,
    file=100_000_000,
)
SMALLEST = Scale(
    loads=(KIB, MIB),
    layers=(LAYER // 12,) * 30,
    large=4 * MIB,
    rounds=1,
    budget=0.01,
    repeats=1_000,
    window=0.05,
    workers=2,
    starts=2,
    entries=200,
    batch=4 * MIB,
    batches=3,
    block=16 * MIB,
    snapshot=8_000_000,
    files=50,
    file=100_000_000,
)
SCALES = {"full": FULL, "smallest": SMALLEST}

Cast = dict[str, Agent]


@dataclass
class Stage:
    """Scale, temporary folder and peers of this run; what went wrong, and with whom."""

    scale: Scale
    root: Path
    everybody: bool
    notes: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)

    @contextmanager
    def cast(self, *names: str) -> Iterator[Cast]:
        """The named peers, started, as far as they are wanted, installed and able to start."""
        with ExitStack() as stack:
            specs = [PEERS[name] for name in names if self._wanted(PEERS[name])]
            cast = {spec.name: Agent(spec, self.root) for spec in specs}
            for agent in cast.values():
                stack.callback(agent.close)
            self.once(cast, Agent.begin)
            self._settle(cast)
            yield cast

    def hire(self, cast: Cast, readers: int) -> dict[str, list[int]]:
        """Start readers for every peer, all at the same time; their pids."""
        self.once(cast, partial(Agent.tell, verb="hire", count=readers))
        return self.once(cast, partial(Agent.answer, verb="hire"))

    def turns(self, cast: Cast, act: Callable[[Agent], Any]) -> dict[str, list[Any]]:
        """Call ``act`` for every peer in turn, for as many rounds as the scale says."""
        results: dict[str, list[Any]] = {name: [] for name in cast}
        for _ in range(self.scale.rounds):
            for name, result in self.once(cast, act).items():
                results[name].append(result)
        return results

    def once(self, cast: Cast, act: Callable[[Agent], Any]) -> dict[str, Any]:
        """Call ``act`` for every peer; one that fails is noted and leaves the cast."""
        results = {}
        for name, agent in list(cast.items()):
            try:
                results[name] = act(agent)
            except PeerError as failure:
                self.note(agent.spec, f"left out: {failure}")
                self.lost.add(name)
                del cast[name]
        return results

    def note(self, spec: Spec, text: str) -> None:
        """Say something about a peer, once."""
        line = f"{spec.name}: {text}"
        if line not in self.notes:
            self.notes.append(line)

    def _wanted(self, spec: Spec) -> bool:
        if not (self.everybody or spec.name in OURS):
            return False
        if not spec.installed():
            remedy = "pip install onecopy[demo]" if spec.package else _SETUP
            self.note(spec, f"not installed ({remedy})")
            return False
        return True

    def _settle(self, cast: Cast) -> None:
        """Wait until the peers' own processes are idle: some work on after they have answered."""
        found = self.once(cast, partial(Agent.ask, verb="pids"))
        pids = [pid for some in found.values() for pid in some]
        deadline, before = time.monotonic() + SETTLE, cpu_seconds(pids)
        while time.monotonic() < deadline:
            time.sleep(WATCH)
            after = cpu_seconds(pids)
            if after - before < IDLE * WATCH:
                return
            before = after


def flat(turns: dict[str, list[list[Any]]]) -> dict[str, list[Any]]:
    """All samples of all turns of each peer."""
    return {name: [sample for turn in all_turns for sample in turn]
            for name, all_turns in turns.items()}  # fmt: skip


def named(size: int) -> str:
    """``1 KiB``, ``256 MiB``."""
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"


def total(sizes: Sequence[int]) -> str:
    """``300 tensors, 500 MB``."""
    return f"{len(sizes)} tensors, {sum(sizes) / 1e6:.0f} MB"
