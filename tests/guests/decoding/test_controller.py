"""A controller's life cycle, in this process."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from onecopy import GuestError, GuestMisbehaved, GuestTrapped, InvalidArgument, InvalidModule
from onecopy.guests.decoding.controller import Controller
from onecopy.guests.decoding.grammars import Grammars
from onecopy.guests.decoding.outcome import Choose, Fork, Mask, Splice, Stop
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.wasm.engine import ticker
from onecopy.guests.wasm.module import compile_module
from onecopy.guests.windows.sources import sources_of
from tests.conftest import open_files
from tests.guests.segment import Segment
from tests.guests.tokenizers_of import byte_level

EPOCHS = 2000
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
VETO = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)];
static int grammar;
OC_EXPORT int init_prompt(void) {
    static char schema[4096];
    grammar = oc_grammar_new(OC_JSON_SCHEMA, schema, oc_config(schema, sizeof schema));
    return grammar < 0;
}
OC_EXPORT int mid_process(void) {
    if (!oc_grammar_consume_step(grammar) || oc_grammar_mask(grammar, mask) != OC_OK)
        return oc_stop();
    oc_mask_forbid(mask, 40);
    return oc_allow(mask);
}
"""
# Does as its configuration says: words that are written over the result.
ANSWERS = """
#include "onecopy.h"
static uint32_t answer[16], scratch[64];
OC_EXPORT int mid_process(void) {
    oc_config(answer, sizeof answer);
    struct oc_control *control = oc_control();
    for (int i = 0; i < 9; i++) ((uint32_t *)&control->result)[i] = answer[i];
    for (int i = 0; i < 64; i++) scratch[i] = i;
    if (control->result.kind == OC_SPLICE && control->result.tokens == 1)
        control->result.tokens = (uint32_t)(uintptr_t)scratch;
    return 0;
}
"""


@pytest.fixture(scope="module")
def vocabulary():
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        yield vocabulary


@pytest.fixture(scope="module")
def grammars(vocabulary):
    return Grammars(vocabulary)


@pytest.fixture
def make(vocabulary, grammars, build):
    """Make controllers of C sources."""
    made = []

    def make(source, config=b"", **options):
        module = compile_module(build(source)).load()
        controller = Controller(module, vocabulary, config=config, grammars=grammars, **options)
        made.append(controller)
        return controller

    with ticker.running():
        yield make
    for each in made:
        each.close()


def row_of(mask: Mask, words: int = 40) -> set[int]:
    row = np.full(words, 0xFFFFFFFF, np.uint32)
    mask.write(row.ctypes.data, words)
    return set(np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little")).tolist())


def answer(*words: int) -> bytes:
    return np.array([*words, *[0] * (16 - len(words))], np.uint32).tobytes()


def test_a_schema_with_a_veto_steers_a_sequence_to_its_end(make, vocabulary):
    controller = make(VETO, json.dumps(SCHEMA).encode())
    assert controller.init_prompt([1, 2, 3], seconds=5) is None
    dice = np.random.default_rng(1)
    tokens: list[int] = []
    appended: list[int] = []
    while vocabulary.eos not in tokens and len(tokens) < 400:
        outcome = controller.step(appended, EPOCHS)
        assert isinstance(outcome, Mask)
        allowed = row_of(outcome) - {40}
        assert 40 not in row_of(outcome)
        # An end is taken where there is one, so that the text does not go on for ever.
        quotes = [t for t in allowed if vocabulary.token(t) == b'"']
        appended = [
            vocabulary.eos
            if vocabulary.eos in allowed
            else (quotes or dice.permutation(list(allowed)))[0]
        ]
        tokens += map(int, appended)
    text = b"".join(map(vocabulary.token, tokens))
    assert set(json.loads(text)) == {"name", "age"}
    assert controller.tokens == 3 + len(tokens) - 1


def test_masks_equal_the_native_engines(make, grammars):
    controller = make(VETO, json.dumps(SCHEMA).encode())
    controller.init_prompt([], seconds=5)
    native = grammars.compile("json_schema", json.dumps(SCHEMA))
    row = np.zeros(32, np.uint32)
    for token in [[], *[[each] for each in grammars.tokenize(b'{"name": "x y')]]:
        assert native.consume(token) == len(token)
        assert native.mask(row.ctypes.data, 128)
        expected = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
        assert row_of(controller.step(token, EPOCHS)) == set(expected.tolist()) - {40}


@pytest.mark.parametrize(
    ("words", "outcome"),
    [
        ((2, 0, 0, 0, 2, 1, 3), Splice(2, (0, 1, 2))),
        ((2, 0, 0, 0, 3, 0, 0), Splice(3, ())),
        ((3, 0, 0, 0, 0, 0, 0, 64), Fork(64)),
        ((4,), Stop()),
        ((5, 0, 0, 0, 0, 0, 0, 0, 999), Choose(999)),
    ],
)
def test_outcomes_are_values(make, words, outcome):
    controller = make(ANSWERS, answer(*words))
    controller.init_prompt([7, 8], seconds=5)
    assert controller.step([10, 11, 12], EPOCHS) == outcome


def test_without_a_mask_every_token_may_come_and_none_beyond_the_vocabulary(make):
    controller = make(ANSWERS, answer(1))
    controller.init_prompt([], seconds=5)
    assert row_of(controller.step([], EPOCHS)) == set(range(1000))


@pytest.mark.parametrize(
    "words",
    [
        (6,),
        (0xFFFFFFFF,),
        (0,),
        (1, 0xFFFFFFF0),
        (1, 5),
        (1, 0, 0xFFFFFFF0, 1),
        (1, 0, 0, 0xFFFFFFFF),
        (2, 0, 0, 0, 4, 0, 0),
        (2, 0, 0, 0, 0, 0, 0),
        (2, 0, 0, 0, 0, 0xFFFFFFF0, 8),
        (2, 0, 0, 0, 0, 4, 0xFFFFFFFF),
        (2, 0, 0, 0, 0, 3, 1),
        (3, 0, 0, 0, 0, 0, 0, 0),
        (3, 0, 0, 0, 0, 0, 0, 10000),
        (5, 0, 0, 0, 0, 0, 0, 0, 1000),
        (5, 0xFFFFFFF0, 0, 0, 0, 0, 0, 0, 1),
    ],
)
def test_what_is_not_possible_fails_the_controller_for_good(make, words):
    controller = make(ANSWERS, answer(*words))
    controller.init_prompt([7, 8, 9], seconds=5)
    with pytest.raises(GuestMisbehaved):
        controller.step([], EPOCHS)
    assert controller.failed
    with pytest.raises(GuestError, match="not called again"):
        controller.step([], EPOCHS)


def test_a_mask_of_zeros_is_refused_when_its_row_is_written(make):
    controller = make(
        '#include "onecopy.h"\nstatic uint32_t mask[40];'
        "OC_EXPORT int mid_process(void) { mask[31] = 0xffffff00; return oc_allow(mask); }"
    )
    controller.init_prompt([], seconds=5)
    # Only bits beyond the vocabulary of 1000 tokens are set.
    with pytest.raises(GuestMisbehaved, match="no token"):
        row_of(controller.step([], EPOCHS))


def test_a_row_that_is_too_short_and_a_closed_controller_are_refused(make):
    controller = make(ANSWERS, answer(1, 1024))
    controller.init_prompt([], seconds=5)
    mask = controller.step([], EPOCHS)
    with pytest.raises(InvalidArgument, match="32 words"):
        row_of(mask, 31)
    controller.close()
    with pytest.raises(InvalidArgument, match="closed"):
        row_of(mask)


def test_a_status_other_than_zero_is_a_failure(make):
    controller = make('#include "onecopy.h"\nOC_EXPORT int mid_process(void) { return 3; }')
    controller.init_prompt([], seconds=5)
    with pytest.raises(GuestMisbehaved, match="returned 3"):
        controller.step([], EPOCHS)


def test_a_module_without_its_life_cycle_is_refused(make):
    with pytest.raises(InvalidModule, match="mid_process"):
        make('#include "onecopy.h"\nOC_EXPORT int init_prompt(void) { return 0; }')
    with pytest.raises(InvalidModule, match="no arguments"):
        make('#include "onecopy.h"\nOC_EXPORT int mid_process(int n) { return n; }')


def test_what_the_guest_says_is_kept(make):
    controller = make(
        '#include "onecopy.h"\n'
        'OC_EXPORT int mid_process(void) { oc_say("hello"); oc_fail("enough", 6); }'
    )
    controller.init_prompt([], seconds=5)
    with pytest.raises(GuestTrapped, match="enough"):
        controller.step([], EPOCHS)
    assert controller.logs == [(20, "hello")]


def test_tokens_outside_the_vocabulary_are_refused(make):
    controller = make(ANSWERS, answer(4))
    with pytest.raises(InvalidArgument, match="1000"):
        controller.init_prompt([1000], seconds=5)
    controller.init_prompt([], seconds=5)
    with pytest.raises(InvalidArgument, match="1000"):
        controller.step([-1], EPOCHS)


COUNTER = """
#include "onecopy.h"
static uint32_t told;
OC_EXPORT int mid_process(void) {
    struct oc_control *control = oc_control();
    for (uint32_t i = 0; i < control->token_count; i++) told = told * 3 + control->tokens[i];
    return oc_choose((told + 100 * control->branch) % 1000);
}
"""


def test_a_rollback_restores_memory_and_a_splice_does_not(make):
    controller = make(COUNTER)
    controller.init_prompt([], seconds=5)
    controller.keep(4)
    for token in (1, 2, 3):
        controller.step([token], EPOCHS)
    controller.rollback(2)
    assert (controller.tokens, controller.steps) == (1, 1)
    assert controller.step([5], EPOCHS) == Choose(1 * 3 + 5)


def test_tokens_that_stay_are_told_again_with_the_next(make):
    controller = make(COUNTER)
    controller.init_prompt([], seconds=5)
    controller.keep(4)
    controller.step([1, 2, 3], EPOCHS)
    controller.rollback(1)
    assert (controller.tokens, controller.pending) == (2, (1, 2))
    controller.rollback(1)
    assert (controller.tokens, controller.pending) == (1, (1,))
    assert controller.step([4], EPOCHS) == Choose(1 * 3 + 4)


def test_a_rollback_beyond_what_is_kept_or_into_the_prompt_is_refused(make):
    controller = make(COUNTER)
    controller.init_prompt([1, 2], seconds=5)
    controller.step([3], EPOCHS)
    with pytest.raises(InvalidArgument, match="keep"):
        controller.rollback(1)
    controller.keep(8)
    controller.step([4], EPOCHS)
    with pytest.raises(InvalidArgument, match="keep"):
        controller.rollback(2)
    with pytest.raises(InvalidArgument, match="prompt"):
        controller.rollback(3)
    controller.rollback(1)
    assert controller.step([4], EPOCHS) == Choose(3 * 3 + 4)


def test_branches_go_their_own_ways_from_the_same_state(make, vocabulary):
    controller = make(COUNTER)
    controller.init_prompt([], seconds=5)
    controller.step([7], EPOCHS)
    branches = controller.fork(3)
    assert branches[0] is controller
    assert [each.step([i], EPOCHS) for i, each in enumerate(branches)] == [
        Choose(21),
        Choose(21 + 1 + 100),
        Choose(21 + 2 + 200),
    ]
    for each in branches[1:]:
        each.close()


def test_a_branch_outlives_the_controller_that_it_left(make):
    controller = make(VETO, json.dumps(SCHEMA).encode())
    controller.init_prompt([], seconds=5)
    expected = row_of(controller.step([], EPOCHS))
    with controller.fork(2)[1] as branch:
        controller.close()
        assert row_of(branch.step([], EPOCHS)) == expected


def test_many_forks_leave_no_descriptor_and_no_map_behind(make):
    controller = make(COUNTER)
    controller.init_prompt([], seconds=5)

    def once():
        controller.settle(spare=2)
        for each in controller.fork(4)[1:]:
            each.step([], EPOCHS)
            each.close()
        controller.settle()

    once()
    before = (open_files(), len(Path("/proc/self/maps").read_text().splitlines()))
    for _ in range(50):
        once()
    after = (open_files(), len(Path("/proc/self/maps").read_text().splitlines()))
    assert after[0] == before[0]
    assert after[1] < before[1] + 50  # the heap may grow


def test_writes_to_the_vocabulary_are_dropped_when_the_controller_settles(make, vocabulary):
    controller = make(
        '#include "onecopy.h"\nOC_EXPORT int mid_process(void) {'
        '    uint32_t *words = oc_data(oc_window("vocab"));'
        "    uint32_t was = words[1]; words[1] = 7; return oc_choose(was == 1000); }"
    )
    controller.init_prompt([], seconds=5)
    for _ in range(3):
        assert controller.step([], EPOCHS) == Choose(1)
        controller.settle()
    assert vocabulary.token(5)


def test_what_is_written_in_a_rehearsal_reaches_nobody(make):
    with Segment(4096) as segment:
        (source,) = sources_of({"x": segment.writable}).values()
        controller = make(
            '#include "onecopy.h"\nOC_EXPORT int mid_process(void) {'
            '    struct oc_window *x = oc_need_window("x");'
            "    if (!(x->flags & OC_WRITABLE)) return 1;"
            "    return oc_choose(((uint8_t *)oc_data(x))[oc_control()->branch]++); }",
            windows={"x": source},
            rehearse=True,
        )
        controller.init_prompt([], seconds=5)
        for _ in range(2):
            assert controller.step([], EPOCHS) == Choose(0)
            controller.settle()
        family = controller.fork(2)
        assert [each.step([], EPOCHS) for each in family] == [Choose(0)] * 2
        assert os.pread(segment.fd, 2, 0) == bytes(2)
        for each in family:
            each.perform({})
            for i in range(2):
                assert each.step([], EPOCHS) == Choose(i)
                each.settle()
        assert os.pread(segment.fd, 2, 0) == bytes([2, 2])
        family[1].close()
        source.close()
