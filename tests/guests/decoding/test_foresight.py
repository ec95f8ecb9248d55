"""Grammars that are asked before the guest asks: it cannot tell, and moves only what it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.outcome import Choose
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm.abi import INVALID, OK, RANGE
from onecopy.guests.wasm.engine import ticker
from tests.guests.tokenizers_of import byte_level

EPOCHS = 2000
A, COMMA, OUTSIDE = (ord(each) - ord(" ") for each in "a,Z")
# It chooses minus what the grammar answered; a variable says how it asks.
GUEST = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(1000)];
static int grammar;
OC_EXPORT int init_prompt(void) {
    grammar = oc_grammar_new(OC_REGEX, "([a-m]+,)*", 10);
    return grammar < 0;
}
OC_EXPORT int mid_process(void) {
    uint8_t mode = 0;
    int status = -99;
    oc_var_get("mode", 4, &mode, 1);
    if (mode == 0) status = oc_grammar_step(grammar, mask);
    if (mode == 2) status = oc_grammar_step(grammar, (uint32_t *)0xffffff00u);
    if (mode == 3) status = oc_grammar_step(grammar, (uint32_t *)2);
    if (mode == 4) status = oc_grammar_consume(grammar, oc_control()->tokens, 1) == 1 ? 0 : -99;
    return oc_choose(-status);
}
"""


@pytest.fixture
def controller(
    build: Callable[..., bytes], compiled: Callable[[bytes], Any]
) -> Iterator[Controller]:
    """A controller that has stepped its grammar once, with the letter a."""
    with (
        Vocabulary.from_tokenizer(byte_level(), size=1000) as vocabulary,
        Controller(compiled(build(GUEST)), vocabulary, grammars=Grammars(vocabulary)) as made,
        ticker.running(),
    ):
        made.init_prompt([], seconds=10)
        made.step([A], EPOCHS)
        yield made


def ask(controller: Controller, tokens: list[int], mode: int = 0) -> int:
    """Call with grammars asked ahead; return what the grammar answered."""
    controller.variables[b"mode"] = bytes([mode])
    told = controller.prepare(tokens, ahead=True)
    controller.instance.control.begin(controller.steps, controller.branch, told)
    controller.instance.run(controller.mid_process, EPOCHS)
    outcome = controller.ended(None)
    assert isinstance(outcome, Choose)
    return -outcome.token


def length(controller: Controller) -> int:
    """How many tokens its grammar has consumed."""
    return controller._host.handles[0].node[2]


def test_the_answer_is_handed_over_without_python(controller: Controller) -> None:
    handles = controller._host.handles
    told = controller.prepare([A], ahead=True)
    kept = dict(handles)
    handles.clear()  # Python could not answer
    controller.instance.control.begin(controller.steps, controller.branch, told)
    controller.instance.run(controller.mid_process, EPOCHS)
    assert controller.ended(None) == Choose(OK)
    assert kept[0].node[2] == 2


def test_what_the_guest_did_not_ask_leaves_the_grammar_where_it_was(controller: Controller) -> None:
    ask(controller, [COMMA], mode=1)
    assert length(controller) == 1
    assert ask(controller, [COMMA], mode=0) == OK
    assert length(controller) == 2


def test_tokens_that_do_not_fit_are_told_as_ever(controller: Controller) -> None:
    assert ask(controller, [A, OUTSIDE, A]) == INVALID
    assert length(controller) == 2
    assert ask(controller, [OUTSIDE]) == INVALID
    assert ask(controller, [A]) == OK


@pytest.mark.parametrize("mode", [2, 3], ids=["outside its memory", "not aligned"])
def test_a_mask_at_no_place_moves_nothing(controller: Controller, mode: int) -> None:
    assert ask(controller, [A], mode) == RANGE
    assert length(controller) == 1
    assert ask(controller, [A]) == OK


def test_another_question_finds_the_grammar_as_it_was_left(controller: Controller) -> None:
    assert ask(controller, [COMMA], mode=4) == OK
    assert length(controller) == 2


def test_a_mask_that_was_not_asked_for_does_not_wear_the_grammar(controller: Controller) -> None:
    for _ in range(5):
        ask(controller, [A], mode=0)
        ask(controller, [OUTSIDE], mode=1)
        ask(controller, [A, COMMA], mode=1)
    assert length(controller) == 6
