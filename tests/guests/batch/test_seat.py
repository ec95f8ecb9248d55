"""One sequence in a worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from onecopy import native
from onecopy.guests.batch.rows import Rows
from onecopy.guests.batch.seat import Seat
from onecopy.guests.batch.steps import Board
from onecopy.guests.batch.turns import Turns
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm.engine import ticks
from onecopy.guests.workers.progress import Progress, new_page

pytest.importorskip("numpy")


@pytest.fixture
def bench(vocabulary: Vocabulary) -> Iterator[Any]:
    """What a seat sees of a bench, for four rows, without C."""
    rows, board = Rows.make(4, vocabulary.size), Board.make(4, 1)
    yield SimpleNamespace(rows=rows, board=board, turns=None)
    rows.close()
    board.close()


@pytest.fixture
def controller(
    vocabulary: Vocabulary, scripted: bytes, compiled: Callable[[bytes], Any]
) -> Iterator[Controller]:
    with Controller(compiled(scripted), vocabulary) as controller:
        yield controller


def test_it_knows_where_its_row_and_its_line_are(bench: Any, controller: Controller) -> None:
    seat = Seat(bench, controller, number=17, row=3, culprit=5, request="one")
    assert (seat.number, seat.row, seat.culprit, seat.request) == (17, 3, 5, "one")
    assert seat.line == bench.board.line(3)
    assert seat.pointer == bench.rows.mask_at(3)
    assert not seat.told


def test_without_c_there_is_no_turn(bench: Any, controller: Controller) -> None:
    seat = Seat(bench, controller, 1, 0, 0, "")
    assert seat.turn is None
    assert seat.address == 0


@pytest.mark.skipif(native.find() is None, reason="the C library is not there")
def test_with_c_its_turn_is_where_c_looks_for_it(bench: Any, controller: Controller) -> None:
    page = new_page()
    bench.turns = Turns(
        native.library(),
        rows=bench.rows,
        board=bench.board,
        slot=bench.board.slot(0),
        progress=Progress(page),
        epochs=ticks(1),
        most=10**9,
    )
    os.close(page)
    seat = Seat(bench, controller, 1, 2, 0, "")
    assert seat.turn is not None
    assert seat.address == seat.turn.address != 0
