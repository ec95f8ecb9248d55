"""Turns in C: what a guest is told, and which calls come back to Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from onecopy.guests.batch import steps
from onecopy.guests.batch.rows import Rows
from onecopy.guests.batch.steps import Board
from onecopy.guests.batch.turns import Turn, Turns
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.outcome import Mask, Stop
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import control
from onecopy.guests.wasm.engine import ticker, ticks
from onecopy.guests.workers.progress import Progress, new_page
from onecopy.native import library
from tests.guests.tokenizers_of import byte_level

ROWS, SIZE = 4, 1000
# It allows the tokens that it is told, and their number; without any it stops.
GUEST = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(4096)];
OC_EXPORT int mid_process(void) {
    struct oc_control *control = oc_control();
    uint32_t tokens[2000];
    uint32_t count = oc_read_tokens(0, tokens, 2000);
    if (control->result.kind || control->result.mask) return 1;
    if (!count) return oc_stop();
    oc_mask_clear(mask);
    oc_mask_allow(mask, count % 1000);
    for (uint32_t i = 0; i < count && i < 192; i++)
        if (tokens[i] != control->tokens[i]) return 2;
    for (uint32_t i = 0; i < count; i++) oc_mask_allow(mask, tokens[i]);
    return oc_allow(mask);
}
"""
# Its mask lies in memory that it has not had before.
GROWING = """
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    uint32_t page = (uint32_t)__builtin_wasm_memory_grow(0, 1);
    uint32_t *mask = (uint32_t *)(page << 16);
    oc_mask_allow(mask, 5);
    return oc_allow(mask);
}
"""


class Table:
    """Rows, a board, and controllers that sit there."""

    def __init__(self, module: Any, vocabulary: Vocabulary) -> None:
        self.rows = Rows.make(ROWS, vocabulary.size)
        self.board = Board.make(ROWS, 1)
        self.progress = Progress(new_page())
        self.turns = Turns(
            library(),
            rows=self.rows,
            board=self.board,
            slot=self.board.slot(0),
            progress=self.progress,
            epochs=ticks(1),
            most=10_000_000_000,
        )
        self.controllers = [Controller(module, vocabulary) for _ in range(ROWS)]
        self.turn = []
        for row, each in enumerate(self.controllers):
            each.init_prompt([], seconds=5)
            self.turn.append(Turn(each, row, 9, self.turns))
        self.all = [each.address for each in self.turn]

    def tell(self, row: int, tokens: list[int]) -> None:
        """Do what a bench does for a row before its call."""
        controller = self.controllers[row]
        self.board.ask(self.board.line(row), row + 1, tokens)
        told = controller.prepare(tokens)
        self.turn[row].tell(controller.steps, controller.branch, told, len(tokens))

    def allowed(self, row: int) -> list[int]:
        """The tokens that a row allows."""
        bits = np.unpackbits(self.rows.mask_array[row].view("u1"), bitorder="little")
        return np.flatnonzero(bits).tolist()

    def answered(self, row: int) -> int:
        """The step that a row was answered in."""
        return self.board.words[self.board.line(row) + steps.ANSWERED]

    def close(self) -> None:
        for each in self.controllers:
            each.close()
        self.rows.close()
        self.board.close()
        self.progress.close()


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    with Vocabulary.from_tokenizer(byte_level(), size=SIZE) as vocabulary:
        yield vocabulary


@pytest.fixture
def seated(
    vocabulary: Vocabulary, build: Callable[..., bytes], compiled: Callable[[bytes], Any]
) -> Iterator[Callable[[str], Table]]:
    """Makes a table of guests of a source."""
    tables = []

    def make(source: str) -> Table:
        tables.append(Table(compiled(build(source)), vocabulary))
        return tables[-1]

    with ticker.running():
        yield make
    for each in tables:
        each.close()


@pytest.mark.parametrize("count", [1, 2, 191, 192, 193, 900])
def test_guests_are_told_all_tokens(seated: Callable[[str], Table], count: int) -> None:
    table = seated(GUEST)
    tokens = list(range(7, 7 + count))
    table.tell(0, tokens)
    assert table.turns.run(table.all[:1], 1) == 1
    assert table.allowed(0) == sorted({count, *tokens})
    assert table.board.words[table.board.line(0) + steps.KIND] == control.MASK
    assert table.answered(0) == 1


def test_what_a_rollback_left_is_told_first(seated: Callable[[str], Table]) -> None:
    table = seated(GUEST)
    controller = table.controllers[0]
    controller.keep(8)
    table.tell(0, [20, 21, 22])
    assert table.turns.run(table.all[:1], 1) == 1
    controller.called(0)
    controller.settle()
    controller.rollback(1)
    told = controller.prepare([30])
    table.board.ask(table.board.line(0), 1, [30])
    table.turn[0].tell(controller.steps, controller.branch, told, 1)
    assert table.turns.run(table.all[:1], 2) == 1
    assert table.allowed(0) == [3, 20, 21, 30]


def test_the_call_that_is_no_mask_is_the_last(seated: Callable[[str], Table]) -> None:
    table = seated(GUEST)
    for row, tokens in enumerate([[4], [], [5], [6]]):
        table.tell(row, tokens)
    assert table.turns.run(table.all, 3) == 1
    assert [table.answered(row) for row in range(ROWS)] == [3, 0, 0, 0]
    assert table.controllers[1].ended(table.turns.error) == Stop()
    assert table.turns.run(table.all[2:], 3) == 2
    assert [table.answered(row) for row in range(ROWS)] == [3, 0, 3, 3]


def test_memory_that_grew_is_known_once_python_has_looked(seated: Callable[[str], Table]) -> None:
    table = seated(GROWING)
    turn, controller = table.turn[0], table.controllers[0]
    table.tell(0, [1])
    assert table.turns.run([turn.address], 1) == 0
    outcome = controller.ended(table.turns.error)
    assert isinstance(outcome, Mask)
    outcome.write(table.rows.mask_at(0), table.rows.words)
    assert table.allowed(0) == [5]
    turn.grow(controller)
    table.tell(0, [1])
    assert table.turns.run([turn.address], 2) == 0  # it has grown again


def test_the_page_says_whose_turn_it_is(seated: Callable[[str], Table]) -> None:
    table = seated(GUEST)
    table.tell(2, [4])
    table.turns.run(table.all[2:3], 1)
    doing = table.progress.read()
    assert doing is not None
    assert doing.culprit == 9
    assert table.board.words[table.board.slot(0) + steps.RUNNING] == 3
    assert table.board.nanoseconds_of(table.board.line(2)) > 0
