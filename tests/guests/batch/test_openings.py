"""Sequences that a worker is opening."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from onecopy.guests.batch import openings as home
from onecopy.guests.batch import steps
from onecopy.guests.batch.openings import Openings
from onecopy.guests.batch.sequence import CLOSED, OPENING
from onecopy.guests.batch.steps import Board


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board.make(3, 1)
    yield board
    board.close()


@pytest.fixture
def openings(board: Board) -> Openings:
    return Openings(board, 0, 1)


def sequence(board: Board, number: int, row: int, seconds: float = 10, calls: int = 0) -> Any:
    return SimpleNamespace(
        number=number,
        row=row,
        state=OPENING,
        origin=SimpleNamespace(seconds=seconds),
        history=SimpleNamespace(calls=[()] * calls),
    )


def mark(board: Board, opened: Any) -> None:
    """Do as a worker does that has opened it."""
    board.words[board.opening(0, opened.row) + steps.OPENED] = opened.number


def test_they_are_taken_in_their_order_when_they_are_open(board: Board, openings: Openings) -> None:
    one, two = sequence(board, 1, 0), sequence(board, 2, 1)
    openings.add([one, two])
    assert openings.take() is None
    mark(board, two)
    assert openings.take() is None
    mark(board, one)
    assert [openings.take(), openings.take(), openings.take()] == [one, two, None]
    assert len(openings) == 0


def test_what_is_opened_anew_is_not_open_because_it_was(board: Board, openings: Openings) -> None:
    one = sequence(board, 1, 0)
    mark(board, one)
    openings.add([one])
    assert openings.take() is None


def test_a_closed_one_whose_mark_was_overwritten_does_not_keep_the_others(
    board: Board, openings: Openings
) -> None:
    closed, following = sequence(board, 1, 0), sequence(board, 2, 0)
    openings.add([closed])
    mark(board, closed)
    closed.state = CLOSED
    openings.add([following])
    assert openings.take() is None
    mark(board, following)
    assert [openings.take(), openings.take()] == [closed, following]


def test_nobody_waits_for_those_that_are_all_closed(board: Board, openings: Openings) -> None:
    both = [sequence(board, 1, 0), sequence(board, 2, 1)]
    openings.add(both)
    for each in both:
        each.state = CLOSED
    assert [openings.take(), openings.take()] == both


def test_each_has_its_time_after_those_before_it(
    board: Board, openings: Openings, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=100.0)
    monkeypatch.setattr(home, "time", clock)
    one, two = sequence(board, 1, 0, seconds=2), sequence(board, 2, 1, seconds=3, calls=5)
    assert not openings.are_late()
    openings.add([one, two])
    clock.now += 3 * 2 + 3 * 3 + 5 * home.REPLAY + 0.5
    assert not openings.are_late()
    clock.now += 1
    assert openings.are_late()
    mark(board, one)
    openings.take()
    assert not openings.are_late()
