"""The step board in shared memory."""

from __future__ import annotations

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy import errors
from onecopy.guests.batch import steps
from onecopy.guests.batch.steps import FAILED, MAX_TOKENS, Board
from onecopy.guests.wasm import control

TOKENS = st.lists(st.integers(0, (1 << 32) - 1), max_size=50)


@pytest.fixture(scope="module")
def board():
    """A board for five rows and two workers."""
    made = Board.make(5, 2)
    yield made
    made.close()


@pytest.fixture(scope="module")
def seen(board: Board):
    """The same board, as a worker sees it."""
    mapped = Board(os.dup(board.fd), 5, 2)
    yield mapped
    mapped.close()


@given(row=st.integers(0, 4), tokens=TOKENS, rollback=st.integers(0, 100))
def test_a_worker_reads_what_the_engine_asks(
    board: Board, seen: Board, row: int, tokens: list[int], rollback: int
) -> None:
    line = board.line(row)
    board.ask(line, 77, tokens, rollback)
    assert seen.appended(line) == tokens
    assert seen.words[line + steps.ROLLBACK] == rollback
    assert seen.words[line + steps.SEQUENCE] == 77


@given(row=st.integers(0, 4), tokens=TOKENS)
def test_the_engine_reads_what_a_worker_answers(
    board: Board, seen: Board, row: int, tokens: list[int]
) -> None:
    line = board.line(row)
    seen.answer(line, control.SPLICE, 3, tokens)
    assert board.tokens_of(line) == tokens
    assert board.words[line + steps.NUMBER] == 3


@pytest.mark.parametrize("kind", steps.FAILURES)
def test_failures_keep_their_class_and_text(board: Board, seen: Board, kind: type) -> None:
    line = board.line(2)
    seen.answer_failure(line, kind("it went wröng"))
    failure = board.failure_of(line)
    assert type(failure) is kind
    assert str(failure) == "it went wröng"
    assert board.words[line + steps.KIND] == FAILED


def test_any_other_error_is_a_failure_of_the_guest(board: Board, seen: Board) -> None:
    seen.answer_failure(board.line(0), ZeroDivisionError("x" * 100_000))
    failure = board.failure_of(board.line(0))
    assert type(failure) is errors.GuestError
    assert len(str(failure)) < 8192


def test_a_splice_longer_than_the_line_is_refused(board: Board) -> None:
    with pytest.raises(errors.InvalidArgument):
        board.answer(board.line(0), control.SPLICE, 0, [1] * (MAX_TOKENS + 1))


def test_lines_and_slots_do_not_overlap(board: Board) -> None:
    for row in range(5):
        board.ask(board.line(row), row, [row] * MAX_TOKENS)
        board.answer(board.line(row), control.SPLICE, row, [row + 10] * MAX_TOKENS)
    for worker in range(2):
        board.call(board.slot(worker), 9, [worker] * 960)
        for row in range(5):
            opening = board.opening(worker, row)
            board.answer(opening, control.SPLICE, row, [worker + row + 20] * MAX_TOKENS)
            board.words[opening + steps.OPENED] = row
    for row in range(5):
        line = board.line(row)
        assert board.appended(line) == [row] * MAX_TOKENS
        assert board.tokens_of(line) == [row + 10] * MAX_TOKENS
        for worker in range(2):
            opening = board.opening(worker, row)
            assert board.tokens_of(opening) == [worker + row + 20] * MAX_TOKENS
            assert board.words[opening + steps.OPENED] == row
    assert [board.words[board.slot(worker) + steps.ROWS + 959] for worker in range(2)] == [0, 1]
