"""Two benches with the same guests: one whose loop is in C, and one whose loop is in Python."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from onecopy.guests.batch import caller, steps
from onecopy.guests.batch.bench import Bench
from onecopy.guests.batch.rows import Rows
from onecopy.guests.batch.seat import Seat
from onecopy.guests.batch.steps import Board
from onecopy.guests.decoding import controller_host
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm import control
from onecopy.guests.workers.progress import Progress, new_page
from onecopy.guests.workers.spill import Spill, new_spill
from onecopy.guests.workers.worker import Worker

ROWS = 3
OPERATIONS = 16
MASKS = (0, 1, 2, 3, 4, 5, 6, 7, 12, 15)
"""Operations after which there is a next call."""
# A variable says what it does in a call; what it answers depends on all that came before.
GUEST = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(4096)], state = 1;
static struct oc_bias bias;
static int grammar;
static void mix(uint32_t word) { state = (state ^ word) * 16777619u; state ^= state >> 13; }
OC_EXPORT int init_prompt(void) {
    grammar = oc_grammar_new(OC_REGEX, "([a-m]+,)*", 10);
    return grammar < 0;
}
OC_EXPORT int mid_process(void) {
    struct oc_control *control = oc_control();
    static uint32_t spliced[1] = {300};
    uint32_t size = OC_MASK_WORDS(control->vocab);
    uint8_t operation = 0;
    oc_var_get("operation", 9, &operation, 1);
    oc_say("called");
    mix(control->step), mix(control->branch);
    for (uint32_t i = 0; i < control->token_count; i++) mix(control->tokens[i]);
    switch (operation) {
    case 8: return oc_splice(0, spliced, 1);
    case 9: return oc_stop();
    case 10: oc_mask_clear(mask); return oc_allow(mask);
    case 11: __builtin_trap();
    case 12: return oc_allow(0);
    case 13: return oc_choose(state % control->vocab);
    case 14: return 1;
    case 1: mix(oc_grammar_consume(grammar, control->tokens, 1));
            mix(oc_grammar_mask(grammar, mask)); break;
    case 2: break;
    case 3: mix(oc_grammar_mask(grammar, mask)); mix(oc_grammar_step(grammar, mask)); break;
    case 4: mix(oc_grammar_step(grammar, mask)); mix(oc_grammar_step(grammar, mask)); break;
    case 5: mix(oc_grammar_accepts(grammar)); mix(oc_grammar_step(grammar, mask)); break;
    case 6: mix(oc_grammar_rollback(grammar, 1)); mix(oc_grammar_mask(grammar, mask)); break;
    case 15: mix(oc_grammar_step(grammar + 1, mask));
             mix(oc_grammar_step(grammar, (uint32_t *)0xfffffff0u)); break;
    default: mix(oc_grammar_step(grammar, mask));
    }
    for (uint32_t i = 0; i < size; i++) mix(mask[i]);
    mask[size - 1] |= 0x80000000u;  // beyond the vocabulary
    oc_mask_allow(mask, state % control->vocab);
    bias.token = state % control->vocab, bias.bias = 2;
    return operation == 7 ? oc_allow_biased(mask, &bias, 1) : oc_allow(mask);
}
"""
LOOP = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(4096)];
OC_EXPORT int mid_process(void) {
    if (oc_control()->token_count) for (volatile int i = 0;; i++) {}
    oc_mask_allow(mask, 7);
    return oc_allow(mask);
}
"""
SIZE = 1000  # not a multiple of 32
LETTERS = [ord(each) - ord(" ") for each in "abcm,n"]  # of the byte-level tokenizer
A = LETTERS[0]


class Place:
    """A bench with rows of its own, in this process."""

    def __init__(self, vocabulary: Vocabulary, *, biases: bool, keep: int) -> None:
        self.vocabulary = vocabulary
        self.keep = keep
        self.grammars = Grammars(vocabulary)
        self.rows = Rows.make(ROWS, vocabulary.size, biases=biases)
        self.board = Board.make(ROWS, 1)
        self._sockets = socket.socketpair()
        self._long = new_spill()
        self.worker = Worker(self._sockets[0], Progress(new_page()), Spill(self._long))
        self._bell, self._done = os.eventfd(0), os.eventfd(0)
        self.bench = Bench(
            self.worker, self.rows, self.board, 0, 0.05, os.dup(self._bell), os.dup(self._done)
        )
        self.number = 0
        self.variables: dict[int, Any] = {}

    def seat(self, module: Any, row: int, culprit: int = 7) -> Controller:
        controller = Controller(module, self.vocabulary, grammars=self.grammars)
        controller.keep(self.keep)
        controller.init_prompt([], seconds=10)
        self.variables[row] = controller.variables
        self.bench.sit(Seat(self.bench, controller, row + 1, row, culprit, ""))
        return controller

    def step(self, told: dict[int, Sequence[int]], back: int = 0, end: int = 1 << 62) -> None:
        """Ask rows, and let the bench run; its guests are called until there is an answer."""
        self.number += 1
        for row, tokens in told.items():
            self.board.ask(self.board.line(row), row + 1, tokens, back)
        self.board.call(self.bench.slot, self.number, list(told), end)
        os.eventfd_write(self._bell, 1)
        self.bench.run()
        assert os.eventfd_read(self._done) == 1
        assert self.board.words[self.bench.slot + steps.FINISHED] == self.number
        for row in told:
            assert self.board.words[self.board.line(row) + steps.ANSWERED] == self.number

    def answer(self, row: int) -> tuple[Any, ...]:
        """All that the engine would read."""
        line, words = self.board.line(row), self.board.words
        kind = words[line + steps.KIND]
        if kind == steps.FAILED:
            return kind, repr(self.board.failure_of(line))
        if kind == control.MASK:
            biases = self.rows.bias_array
            dense = None if biases is None else biases[row].tolist()
            return kind, self.rows.mask_array[row].tolist(), dense
        return kind, words[line + steps.NUMBER], self.board.tokens_of(line)

    def marks(self) -> tuple[int, int, int]:
        """The row that runs, plus 1, whose it is, and how long it may take."""
        doing = self.worker.progress.read()
        assert doing is not None
        return self.board.words[self.bench.slot + steps.RUNNING], doing.culprit, doing.budget

    def close(self) -> None:
        self.bench.close()
        self.worker._stop_time()
        for each in self._sockets:
            each.close()
        for fd in (self._bell, self._done, self._long):
            os.close(fd)


@contextmanager
def places(vocabulary: Vocabulary, *, biases: bool = False, keep: int = 0) -> Iterator[list[Place]]:
    """One place whose loop is in C, and one whose loop is in Python."""
    made = []
    with pytest.MonkeyPatch.context() as patch:
        in_c = Place(vocabulary, biases=biases, keep=keep)
        made.append(in_c)
        patch.setattr(caller, "find", lambda: None)
        made.append(Place(vocabulary, biases=biases, keep=keep))
    assert made[0].bench.turns is not None
    assert made[1].bench.turns is None
    try:
        yield made
    finally:
        for each in made:
            each.close()


def seat(place: Place, module: Any, row: int, culprit: int = 7) -> Controller:
    """Seat a controller that knows the C library only if its place does."""
    with pytest.MonkeyPatch.context() as patch:
        if place.bench.turns is None:
            patch.setattr(controller_host, "find", lambda: None)
        return place.seat(module, row, culprit)
