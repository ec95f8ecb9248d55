"""Bells: who is rung, in which order they run, and how long anybody waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from onecopy.guests.batch import steps
from onecopy.guests.batch.bells import Bells
from onecopy.guests.batch.steps import Board
from tests.guests.batch.played import Played

LONG = 3600.0


class Ledger:
    """Of offenders, by their rows."""

    def __init__(self, *rows: int) -> None:
        self.offences = Counter(rows)

    def offender(self, sequence: Any) -> bool:
        return self.offences[sequence.row] > 0


def sequence(row: int) -> Any:
    return SimpleNamespace(row=row)


@pytest.fixture
def board() -> Iterator[Board]:
    board = Board.make(4, 2)
    yield board
    board.close()


@pytest.fixture
def stations(board: Board) -> Iterator[list[Any]]:
    stations = [Played(board.slot(index), board) for index in range(2)]
    yield stations
    for each in stations:
        each.close()


def bells(board: Board, seconds: float, *offenders: int) -> Bells:
    bells = Bells(board, Ledger(*offenders), seconds)  # type: ignore[arg-type]
    bells.begin()
    bells.number += 1
    return bells


def test_who_has_nobody_to_run_is_not_rung(board: Board, stations: list[Any]) -> None:
    rung = bells(board, LONG)
    rung.ring({stations[0]: [sequence(2), sequence(1)], stations[1]: [], None: [sequence(0)]})
    assert rung.rung == [stations[0]]
    assert stations[0].rows() == [2, 1]
    assert stations[1].idle()


def test_the_board_says_the_number_and_the_end_of_the_time(
    board: Board, stations: list[Any]
) -> None:
    rung = bells(board, LONG)
    rung.ring({stations[1]: [sequence(3)]})
    slot = stations[1].slot
    assert board.words[slot] == rung.number
    assert board.wide[(slot + steps.DEADLINE) >> 1] == int(rung.deadline * 1e9)


def test_offenders_run_last(board: Board, stations: list[Any]) -> None:
    bells(board, LONG, 0, 2).ring({stations[0]: [sequence(row) for row in range(4)]})
    assert stations[0].rows() == [1, 3, 0, 2]


def test_nobody_waits_longer_than_for_the_last(board: Board, stations: list[Any]) -> None:
    rung = bells(board, LONG)
    rung.ring({each: [sequence(row)] for row, each in enumerate(stations)})
    stations[0].end()
    stations[1].lost = True
    rung.wait()
    assert rung.seconds < LONG


def test_nobody_waits_beyond_the_time(board: Board, stations: list[Any]) -> None:
    rung = bells(board, 0)
    rung.ring({stations[0]: [sequence(0)]})
    rung.wait()
    assert not stations[0].idle()


def test_who_rang_nobody_waits_for_nobody(board: Board) -> None:
    rung = bells(board, LONG)
    rung.ring({})
    rung.wait()
    assert rung.rung == []
