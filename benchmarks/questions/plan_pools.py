"""What does each kind of pool take in the two cases of TVM's discussion on dynamic outputs?

C1: 1024 outputs of 1k elements, all held, under a bound of 128k. C2: outputs of i * 1k + 1
elements, i = 1 to 128, each released before the next. An element is a float32, k is 1024.
(apache/tvm, pull request 16111.) A planned module with `output="bound"` is asked beside the pools.
"""

from __future__ import annotations

import resource
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.answer import Answer, Summary, Table, Target
from benchmarks.stage import Stage
from onecopy.planner import pools
from onecopy.segments.region import PAGE

ELEMENT = 4
K = 1024
BOUND = 128 * K

MEMFD = "bound, sparse memfd"
PLANNED = "bound, planned module"


@dataclass(frozen=True)
class Case:
    """Sizes of outputs, in elements; held, or each released before the next is made."""

    title: str
    sizes: list[int]
    held: bool

    @property
    def needed(self) -> int:
        """What no pool can do without."""
        return sum(self.sizes) if self.held else max(self.sizes)

    @property
    def bound(self) -> int:
        """The bound of the dimension: C2's last size is one beyond 128k."""
        return max(BOUND, *self.sizes)


CASES = (
    Case("C1", [K] * 1024, held=True),
    Case("C2", [i * K + 1 for i in range(1, 129)], held=False),
    Case("C1, 1k+1 each", [K + 1] * 1024, held=True),
)

# Worked out by hand, in elements: needed, exact sizes, bound, powers of two, best fit, memfd, and a
# planned module.
KNOWN = {
    "C1": (1_048_576, 1_048_576, 134_217_728, 1_048_576, 1_048_576, 1_048_576, 1_048_576),
    "C2": (131_073, 8_454_272, 131_073, 522_240, 131_136, 132_096, 132_096),
    "C1, 1k+1 each": (
        1_049_600,
        1_049_600,
        134_217_728,
        2_097_152,
        1_114_112,
        2_097_152,
        2_097_152,
    ),
}


def ask(stage: Stage) -> Answer:  # noqa: ARG001
    """Run all cases in all pools; the numbers are exact, whatever the machine."""
    table = Table("reserved (memfd: committed)", "elements", ours=MEMFD)
    targets = []
    for case in CASES:
        found = {"needed": case.needed, **measure(case)}
        for title, elements in found.items():
            table.put_row(title, case.title, Summary.of([elements]))
        known = KNOWN[case.title]
        differing = sum(a != b for a, b in zip(found.values(), known, strict=False))
        targets.append(
            Target(f"{case.title}: numbers that differ from the known ones", 0, differing)
        )
        targets.extend(_within_two_pages(case, title, found[title]) for title in (MEMFD, PLANNED))
    return Answer("plan_pools", [table], targets)


def measure(case: Case) -> dict[str, int]:
    """The most that each kind of pool takes for a case, in elements."""
    bound = case.bound * ELEMENT
    alone = ELEMENT  # malloc'ed one by one, blocks are not rounded to a common alignment
    made: dict[str, pools.Pool] = {
        "exact sizes": pools.ExactSizes(alignment=alone),
        "bound": pools.Bound(bound, page=alone),
        "powers of two": pools.SizeClasses(),
        "best fit": pools.BestFit(alignment=256),
    }
    found = {title: _run(case, pool) for title, pool in made.items()}
    found[MEMFD] = _run_in_memory(case, bound)
    found[PLANNED] = _run_planned(case) // ELEMENT
    found["buddy"] = _run(case, pools.Buddy())
    found["four classes a doubling"] = _run(case, pools.SizeClasses(steps=4))
    return found


def _run(case: Case, pool: pools.Pool) -> int:
    blocks = []
    for size in case.sizes:
        blocks.append(pool.allocate(size * ELEMENT))
        if not case.held:
            pool.free(blocks.pop())
    return pool.stats.reserved // ELEMENT


def _run_in_memory(case: Case, bound: int) -> int:
    """Write every output, and ask the kernel what the memfd takes."""
    slots = len(case.sizes) if case.held else 1
    with pools.Memory(slots * (bound + PAGE)) as memory:
        return max(_resident(case, pools.Bound(bound, memory=memory))) // ELEMENT


def _resident(case: Case, pool: pools.Pool) -> Iterable[int]:
    for size in case.sizes:
        block = pool.allocate(size * ELEMENT)
        block.view()[:] = bytes(block.nbytes)
        yield pool.stats.resident or 0
        if not case.held:
            pool.free(block)


def _run_planned(case: Case) -> int:
    """The most bytes that the outputs of a planned module commit, as the kernel says."""
    import torch

    from onecopy import planner

    held, most = [], 0
    with torch.no_grad(), _descriptors(len(case.sizes) + 100):
        ones = torch.ones(case.bound)
        with planner.bind_module(torch.neg, (ones,), output="bound", on_miss="error") as run:
            for index, size in enumerate(case.sizes):
                held.append(run(ones[:size]))
                if not case.held or index + 1 == len(case.sizes):
                    most = max(most, _committed())
                if not case.held:
                    held.clear()
            held.clear()
    return most


def _committed() -> int:
    """Bytes of the memfds of outputs."""
    found = (each for each in Path("/proc/self/fd").iterdir() if each.is_symlink())
    outputs = [each for each in found if "onecopy-output" in str(each.readlink())]
    return sum(each.stat().st_blocks * 512 for each in outputs)


@contextmanager
def _descriptors(count: int) -> Iterator[None]:
    """Each bound output that lives has one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(count + soft, hard)), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _within_two_pages(case: Case, title: str, committed: int) -> Target:
    outputs = len(case.sizes) if case.held else 1
    over = (committed - case.needed) * ELEMENT / PAGE / outputs
    return Target(f"{case.title}, {title}: committed over exact, for each output", 2, over, "pages")
