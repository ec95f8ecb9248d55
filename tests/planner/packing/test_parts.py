"""Parts: what nothing connects is apart, and nothing is lost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner import Buffer, Problem
from onecopy.planner.packing.board import NONE, Board
from onecopy.planner.packing.grid import grid_of
from onecopy.planner.packing.parts import Part, Parts
from tests.planner.packing.problems import problems


def chain(part: Part | None) -> Iterator[Part]:
    while part is not None:
        yield part
        part = part.next


def check(board: Board, parts: Parts, first: Part | None) -> None:
    """What is free is in one part each; parts share no sections; none could be split."""
    found = [parts.buffers(part) for part in chain(first)]
    free = [index for index in range(len(board.grid)) if not board.placed[index]]
    assert sorted(index for each in found for index in each) == free
    ends = [(part.first, part.last) for part in chain(first)]
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(ends))
    for part, buffers in zip(chain(first), found, strict=True):
        for buffer in buffers:
            assert part.first <= board.sections[buffer][0]
            assert board.sections[buffer][-1] < part.last
        for cut in range(part.first, part.last - 1):
            crosses = [b for b in buffers if board.sections[b][0] <= cut < board.sections[b][-1]]
            here = [b for b in buffers if board.sections[b][-1] <= cut]
            there = [b for b in buffers if board.sections[b][0] > cut]
            assert crosses or not here or not there


@settings(deadline=None)
@given(problem=problems(most=10), crowded=st.booleans(), data=st.data())
def test_nothing_is_lost_and_what_nothing_connects_is_apart(
    problem: Problem, crowded: bool, data: Any
) -> None:
    board = Board(grid_of(problem), 1000)
    if not len(board.grid):
        return
    parts = Parts(board, crowded)
    part: Part | None = parts.whole([])
    check(board, parts, part)
    while part is not None:
        buffer = data.draw(st.sampled_from(parts.buffers(part)))
        board.place(buffer, board.at[buffer], board.rank[buffer])
        part = parts.without(part, buffer, NONE, [])
        check(board, parts, part)


def test_a_crowded_section_ranks_its_buffers_first_and_the_ranks_can_be_put_back() -> None:
    problem = Problem([Buffer("few", 1, 0, 1), Buffer("all", 1, 0, 3), Buffer("many", 9, 2, 3)])
    board = Board(grid_of(problem), 100)
    ranks: list[tuple[int, int]] = []
    Parts(board, crowded=True).whole(ranks)
    assert board.rank == [2, 0, 1]
    assert [before for _, before in sorted(ranks)] == [0, 1, 2]
