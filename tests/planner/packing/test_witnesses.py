"""Witnesses: a section is given up exactly if no free buffer of it is low enough."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner import Buffer, Problem
from onecopy.planner.packing.board import Board, restore
from onecopy.planner.packing.grid import grid_of
from onecopy.planner.packing.witnesses import Witnesses
from tests.planner.packing.problems import problems


def may_fit(board: Board, section: int) -> bool:
    """Say the same by looking at all buffers."""
    lives = [
        index for index, sections in enumerate(board.sections)
        if section in sections and not board.placed[index]
    ]  # fmt: skip
    room = board.ceiling - board.needed[section]
    return not lives or any(max(board.at[i], board.floor(i)) <= room for i in lives)


@settings(deadline=None)
@given(problem=problems(most=8), part=st.floats(0.7, 1.5), data=st.data())
def test_they_say_what_looking_at_all_buffers_says(
    problem: Problem, part: float, data: Any
) -> None:
    grid = grid_of(problem)
    board = Board(grid, int(problem.lower_bound * part))
    witnesses, everything = Witnesses(board), range(grid.sections)
    known = witnesses.check(everything, [])
    assert known == all(may_fit(board, section) for section in everything)
    while known and not all(board.placed):
        buffer = data.draw(st.sampled_from([i for i, p in enumerate(board.placed) if not p]))
        moves: list[tuple[int, int]] = []
        watches: list[tuple[int, int]] = []
        board.place(buffer, board.at[buffer], board.rank[buffer])
        board.move_neighbours(buffer, moves)
        expected = [may_fit(board, section) for section in everything]
        known = witnesses.check(everything, watches)
        assert known == all(expected)
        if data.draw(st.booleans()):
            # Taken back, all is as it was.
            witnesses.undo(watches)
            restore(board.at, moves)
            board.take_back(buffer)
            assert watches == []
            break


def test_only_those_who_watch_a_buffer_look_again_when_it_moves() -> None:
    board = Board(grid_of(Problem([Buffer("a", 4, 0, 1), Buffer("b", 4, 0, 1)])), 8)
    witnesses = Witnesses(board)
    assert witnesses.check([0], [])
    board.at[1] = 5  # Too high, but nobody watches it.
    assert witnesses.check_watched(1, [])
    board.at[0] = 5
    assert not witnesses.check_watched(0, [])
