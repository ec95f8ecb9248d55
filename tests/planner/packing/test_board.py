"""The board: whatever is placed and taken back, its books are those of what is placed."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.planner import Buffer, Problem
from onecopy.planner.packing.board import NONE, Board, restore
from onecopy.planner.packing.grid import FREE, Grid, grid_of
from tests.planner.packing.problems import problems


def check_books(board: Board, grid: Grid) -> None:
    free = [index for index in range(len(grid)) if not board.placed[index]]
    lives = {index: {s for span in grid.spans[index] for s in range(*span)} for index in free}
    for section in range(grid.sections):
        here = [index for index in free if section in lives[index]]
        assert board.needed[section] == sum(grid.sizes[index] for index in here)
        # Whoever lives before and after a gap crosses it, too.
        crossing = [i for i in free if min(lives[i]) <= section < max(lives[i])]
        assert board.crossing[section] == len(crossing)


@settings(deadline=None)
@given(problem=problems(most=8), data=st.data())
def test_its_books_are_those_of_what_is_placed(problem: Problem, data: Any) -> None:
    grid = grid_of(problem)
    board = Board(grid, 1000)
    done: list[tuple[int, list[tuple[int, int]], list[int]]] = []
    for _ in range(data.draw(st.integers(0, 12))):
        free = [index for index in range(len(grid)) if not board.placed[index]]
        if free and (not done or data.draw(st.booleans())):
            buffer, before = data.draw(st.sampled_from(free)), list(board.at)
            moves: list[tuple[int, int]] = []
            board.place(buffer, board.at[buffer], board.rank[buffer])
            board.move_neighbours(buffer, moves)
            done.append((buffer, moves, before))
        elif done:
            buffer, moves, before = done.pop()
            restore(board.at, moves)
            assert moves == []
            assert board.at == before
            board.take_back(buffer)
        check_books(board, grid)


@given(problem=problems(most=8))
def test_neighbours_are_moved_above_what_was_placed_and_nobody_else(problem: Problem) -> None:
    grid = grid_of(problem)
    for buffer in range(len(grid)):
        board, moves = Board(grid, 1000), []
        top = board.at[buffer] + grid.sizes[buffer]
        board.place(buffer, board.at[buffer], buffer)
        if not board.move_neighbours(buffer, moves):
            assert any(each != FREE for each in grid.fixed)  # Only those cannot give way.
            continue
        for other in range(len(grid)):
            if other in grid.neighbours[buffer]:
                assert board.at[other] >= top
                assert board.at[other] % grid.steps[other] == 0
            elif other != buffer:
                assert board.at[other] == max(grid.fixed[other], 0)


def test_who_cannot_move_up_far_enough_does_not_fit() -> None:
    grid = grid_of(Problem([Buffer("a", 6, 0, 1), Buffer("b", 6, 0, 1)]))
    assert not Board(grid, 11).move_neighbours(0, [])
    assert Board(grid, 12).move_neighbours(0, [])


def test_whose_turn_has_gone_by_waits_for_a_neighbour() -> None:
    grid = grid_of(Problem([Buffer(name, 4, 0, 1) for name in "abc"]))
    board = Board(grid, 100)
    assert board.last_rank == NONE
    assert [board.is_passed(each) for each in range(3)] == [False] * 3
    board.place(1, 0, 1)
    board.move_neighbours(1, [])
    assert [board.floor(each) for each in (0, 2)] == [1, 1]  # In units of 4 bytes.
    board.place(0, 2, 0)
    # It would have been placed before; now it comes above the other one, or not at all.
    assert board.is_passed(2)
    assert board.floor(2) == board.ceiling + 1
