"""Controllers that attack the batch they are part of: one test for each attack.

Their sources are in the folder `hostile`.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from onecopy import GuestError, GuestMisbehaved, GuestTimeout, GuestTrapped, InvalidArgument
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.controller_host import MAX_CONSUMED
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.outcome import Choose, Mask, Splice
from onecopy.guests.decoding.past import Call
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm.engine import ticker, ticks
from tests.guests.tokenizers_of import byte_level

FOLDER = Path(__file__).with_name("hostile")
EPOCHS = 40_000
WORDS = 32


@pytest.fixture(scope="module")
def vocabulary():
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        yield vocabulary


@pytest.fixture(scope="module")
def grammars(vocabulary):
    grammars = Grammars(vocabulary)
    grammars.engine()
    return grammars


@pytest.fixture
def attack(vocabulary, grammars, build, compiled):
    """Open the controller of a hostile source."""
    opened = []

    def attack(source: str, **options: int) -> Controller:
        path = FOLDER / source if source.endswith(".c") else source
        controller = Controller(compiled(build(path)), vocabulary, grammars=grammars, **options)
        opened.append(controller)
        return controller

    with ticker.running():
        yield attack
    for each in opened:
        each.close()


def run(controller: Controller, seconds: float = 20) -> None:
    """Open, step, and write what comes, as the host does."""
    controller.init_prompt([1, 2, 3], seconds)
    for tokens in ([], [4, 5]):
        outcome = controller.step(tokens, ticks(seconds))
        if isinstance(outcome, Mask):
            row = np.full(WORDS, 0xFFFFFFFF, np.uint32)
            outcome.write(row.ctypes.data, WORDS)


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("bias_nan.c", GuestMisbehaved),
        ("bias_infinite.c", GuestMisbehaved),
        ("bias_minus_infinite.c", GuestMisbehaved),
        ("bias_huge.c", GuestMisbehaved),
        ("bias_outside.c", GuestMisbehaved),
        ("bias_many.c", GuestMisbehaved),
        ("mask_empty.c", GuestMisbehaved),
        ("mask_beyond.c", GuestMisbehaved),
        ("mask_at_end.c", GuestMisbehaved),
        ("splice_outside.c", GuestMisbehaved),
        ("splice_nothing.c", GuestMisbehaved),
        ("splice_long.c", GuestMisbehaved),
        ("backtrack_far.c", GuestMisbehaved),
        ("fork_none.c", GuestMisbehaved),
        ("fork_many.c", GuestMisbehaved),
        ("choose_outside.c", GuestMisbehaved),
        ("choose_forbidden.c", GuestMisbehaved),
        ("no_result.c", GuestMisbehaved),
        ("stale_result.c", GuestMisbehaved),
        ("result_of_no_kind.c", GuestMisbehaved),
        ("mask_in_init.c", GuestMisbehaved),
        ("trap_in_init.c", GuestTrapped),
        ("trap_in_step.c", GuestTrapped),
        ("loop_in_init.c", GuestTimeout),
        ("loop_in_step.c", GuestTimeout),
        ("loop_of_host_calls.c", GuestTimeout),
        ("recursion_in_step.c", GuestTrapped),
    ],
)
def test_it_costs_itself(attack, source, error):
    controller = attack(source)
    seconds = 0.01 if error is GuestTimeout else 20  # only those may run into it
    with pytest.raises(error):
        run(controller, seconds)
    assert isinstance(error("x"), GuestError)


def test_the_control_page_is_only_what_the_guest_is_told(attack):
    controller = attack("page_rewritten.c")
    controller.init_prompt([1, 2, 3], seconds=1)
    for _ in range(2):
        assert controller.step([4], EPOCHS) == Choose(1)
    assert (controller.tokens, controller.steps) == (5, 2)


def test_what_is_rewritten_after_it_was_read_changes_nothing(attack):
    controller = attack(
        '#include "onecopy.h"\n'
        "static struct oc_bias biases[1] = {{7, 1.5f}}; static uint32_t tokens[1] = {9};"
        "OC_EXPORT int mid_process(void) { return oc_control()->step"
        "    ? oc_splice(0, tokens, 1) : oc_allow_biased(NULL, biases, 1); }"
    )
    controller.init_prompt([], seconds=1)
    mask = controller.step([], EPOCHS)
    splice = controller.step([], EPOCHS)
    # As if another holder of a shared window did it between the check and the use.
    memory = controller.instance.memory
    ctypes.memset(memory.base + 4096, 0xFF, memory.own_nbytes - 65536)
    assert isinstance(mask, Mask)
    assert [each.tolist() for each in mask.biases()] == [[7], [1.5]]
    assert splice == Splice(0, (9,))
    assert not mask.biases()[0].flags.writeable


def test_states_to_roll_back_to_take_no_more_than_a_guest_may_have(attack):
    controller = attack("all_memory_in_each_step.c", memory_limit=16 << 20)
    controller.init_prompt([], seconds=1)
    controller.keep(100)
    for _ in range(20):
        controller.step([1], EPOCHS)
        controller.settle()
    held = {id(data): len(data) for call in controller._past._calls for _, data in pieces(call)}
    assert 8 << 20 < sum(held.values()) <= 16 << 20
    controller.rollback(1)
    with pytest.raises(InvalidArgument, match="memory_limit"):
        controller.rollback(15)


def pieces(call: Call) -> tuple[tuple[int, bytes], ...]:
    return call.saved.state.pieces


def test_a_failed_one_can_neither_go_on_nor_branch_nor_roll_back(attack):
    controller = attack("loop_in_step.c")
    controller.keep(4)
    with pytest.raises(GuestTimeout):
        run(controller, 0.01)
    for act in (
        lambda: controller.step([], EPOCHS),
        lambda: controller.fork(2),
        lambda: controller.rollback(0),
    ):
        with pytest.raises(GuestError):
            act()


def test_what_the_host_remembers_for_a_guest_has_an_end(attack):
    controller = attack("consume_much.c")
    controller.init_prompt([], seconds=20)
    assert controller.logs == [(20, f"consumed {MAX_CONSUMED}")]
