"""Random problems, and their best plans by brute force."""

from __future__ import annotations

import itertools
import random

from hypothesis import strategies as st

from onecopy.planner import Buffer, Problem
from onecopy.planner.packing.buffer import Buffer as _Buffer


@st.composite
def buffers(draw: st.DrawFn, name: str, largest: int = 8, horizon: int = 6) -> _Buffer:
    """One buffer, perhaps with a gap and an alignment, of few bytes."""
    start = draw(st.integers(0, horizon - 1))
    end = draw(st.integers(start + 1, horizon))
    gaps: tuple[tuple[int, int], ...] = ()
    if end - start > 2 and draw(st.booleans()):
        begin = draw(st.integers(start + 1, end - 2))
        gaps = ((begin, draw(st.integers(begin + 1, end - 1))),)
    alignment = draw(st.sampled_from([1, 1, 2, 3, 4]))
    return Buffer(name, draw(st.integers(0, largest)), start, end, alignment, None, gaps)


@st.composite
def problems(draw: st.DrawFn, most: int = 6) -> Problem:
    """A few buffers; some may be fixed, where they do not overlap other fixed ones."""
    drawn = [draw(buffers(str(number))) for number in range(draw(st.integers(0, most)))]
    chosen: list[Buffer] = []
    for each in drawn:
        if draw(st.integers(0, 4)) == 0:
            offset = draw(st.integers(0, 10)) * each.alignment
            fixed = Buffer(
                each.name, each.size, each.start, each.end, each.alignment, offset, each.gaps
            )
            if all(_apart(fixed, other) for other in chosen if other.offset is not None):
                chosen.append(fixed)
                continue
        chosen.append(each)
    return Problem(chosen)


def _apart(one: Buffer, other: Buffer) -> bool:
    low, high = sorted((one, other), key=lambda each: each.offset or 0)
    overlap = (low.offset or 0) + low.size > (high.offset or 0)
    return not (overlap and low.size and high.size and low.meets(high))


def least_peak(problem: Problem) -> int:
    """Return the best peak by trying all orders: some order and first fit reach it.

    Proof: move each buffer of a best plan down as far as it goes, and again, until none moves.
    Placed in the order of their offsets, each then finds no lower place.
    """
    free = [each for each in problem.buffers if each.offset is None and each.size]
    fixed = [each for each in problem.buffers if each.offset is not None and each.size]
    best: int | None = None
    for order in itertools.permutations(free):
        places = [(each.offset or 0, each) for each in fixed]
        for each in order:
            places.append((_lowest(each, places), each))
        peak = max((at + each.size for at, each in places), default=0)
        best = peak if best is None else min(best, peak)
    return best or 0


def _lowest(buffer: Buffer, places: list[tuple[int, Buffer]]) -> int:
    at = 0
    while any(
        low < at + buffer.size and at < low + other.size and other.meets(buffer)
        for low, other in places
    ):
        at += buffer.alignment
    return at


def random_problem(seed: int, count: int, horizon: int = 60) -> Problem:
    """A larger problem, with everything that buffers may have."""
    dice = random.Random(seed)
    chosen = []
    for number in range(count):
        start = dice.randrange(horizon - 4)
        end = min(start + 1 + int(dice.expovariate(0.12)), horizon)
        gaps = ((start + 1, start + 2),) if end - start > 4 and dice.random() < 0.2 else ()
        alignment = dice.choice([1, 1, 1, 16, 64])
        chosen.append(Buffer(f"b{number}", dice.randrange(2000), start, end, alignment, None, gaps))
    return Problem(chosen)
