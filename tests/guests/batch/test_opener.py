"""Opening sequences beside steps, in the worker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

import onecopy
from onecopy.errors import GuestTimeout, GuestTrapped, InvalidModule
from onecopy.guests.batch.answers import ALLOWED, Allowed
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.steps import FINISHED, OPENING
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import SERVICES, Pool
from tests.guests.batch.test_controllers import allowed, decode
from tests.guests.probing import probe
from tests.guests.waiting import eventually

GRAMMAR = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)];
static char schema[1 << 20];
static int grammar;
OC_EXPORT int init_prompt(void) {
    grammar = oc_grammar_new(OC_JSON_SCHEMA, schema, oc_config(schema, sizeof schema));
    return grammar < 0;
}
OC_EXPORT int mid_process(void) {
    return oc_grammar_step(grammar, mask) == OC_OK ? oc_allow(mask) : oc_stop();
}
"""


def test_steps_go_on_while_a_grammar_is_compiled(
    controllers: Controllers, scripted: bytes, build: Callable[..., bytes]
) -> None:
    """It takes some hundred milliseconds; nothing here depends on how many."""
    quick = controllers.open(scripted)
    heavy = json.dumps({"enum": [f"{'x' * 200}{number}" for number in range(2000)]})
    slow = controllers.open(build(GRAMMAR), heavy, wait=False)
    decode(controllers, [quick], 3)
    slow.wait(60)
    step = controllers.step({quick: [], slow: []})
    assert isinstance(step.outcomes[slow], Allowed)
    assert 0 < len(allowed(step, slow)) < controllers.vocabulary.size


def test_sequences_open_in_the_order_in_which_they_were_asked_for(
    controllers: Controllers, scripted: bytes
) -> None:
    opened = [controllers.open(scripted, request="one", wait=False) for _ in range(4)]
    opened[-1].wait(60)
    assert [each.state for each in opened] == ["ready"] * 4


def test_one_that_is_closed_while_it_opens_leaves_its_row(
    controllers: Controllers, scripted: bytes
) -> None:
    for _ in range(5):
        unwanted = [controllers.open(scripted, wait=False) for _ in range(4)]
        for each in unwanted:
            each.close()
    kept = [controllers.open(scripted) for _ in range(4)]
    masks = decode(controllers, kept, 2)
    assert all(each == masks[0] for each in masks)


def test_who_has_the_row_of_one_that_is_still_opened_is_answered_as_ever(
    controllers: Controllers, scripted: bytes
) -> None:
    """Its worker says how that ended, while another worker's answers in that row are not read."""
    words, slot = controllers.batch.board.words, controllers.batch.board.slot
    first, same = (controllers.open(scripted, request="one") for _ in range(2))
    slow = controllers.open(scripted, "init_loop=0", seconds=0.5, wait=False)
    eventually(lambda: words[slot(1) + OPENING] == slow.number)
    slow.close()
    _, branch = first.fork(2)
    _, other = same.fork(2)
    assert first.station.worker.index == 0
    assert branch.row == slow.row
    controllers.begin({branch: [], other: []})
    eventually(lambda: words[slot(0) + FINISHED] == words[slot(0)])
    eventually(lambda: words[slot(1) + OPENING] != slow.number)
    step = controllers.finish()
    assert step.outcomes == {branch: ALLOWED, other: ALLOWED}
    assert allowed(step, branch) == allowed(step, other)


@pytest.mark.parametrize(
    ("config", "error"), [("init_trap=0", GuestTrapped), ("init_loop=0", GuestTimeout)]
)
def test_one_that_cannot_be_opened_does_not_keep_others(
    controllers: Controllers, scripted: bytes, config: str, error: type[Exception]
) -> None:
    bad = controllers.open(scripted, config, wait=False, seconds=0.05)
    good = controllers.open(scripted, wait=False)
    good.wait(60)
    with pytest.raises(error):
        bad.wait(60)
    decode(controllers, [good], 2)


def test_what_is_no_controller_is_told(controllers: Controllers, wat) -> None:
    with pytest.raises(InvalidModule, match="mid_process"):
        controllers.open(wat('(module (memory (export "memory") 1))'))


def test_variables_of_a_request_end_with_its_last_sequence(
    controllers: Controllers, scripted: bytes
) -> None:
    """What the guests counted together is part of their masks."""
    first = controllers.open(scripted, "count=1", request="shared")
    (begun,) = decode(controllers, [first], 1)
    second = controllers.open(scripted, "count=1", request="shared")
    (further,) = decode(controllers, [second], 1)
    assert begun != further
    first.close()
    second.close()
    again = controllers.open(scripted, "count=1", request="shared")
    assert decode(controllers, [again], 1)[0] == begun


def test_variables_of_a_request_stay_while_a_sequence_of_it_is_still_to_be_opened(
    controllers: Controllers, scripted: bytes
) -> None:
    def count(disturbed: bool, request: str) -> list[list[int]]:
        first = controllers.open(scripted, "count=1", request=request)
        decode(controllers, [first], 1)
        slow = controllers.open(scripted, "init_loop=0", request=request, seconds=0.5, wait=False)
        second = controllers.open(scripted, "count=1", request=request, wait=False)
        if disturbed:
            first.close()
        second.wait(60)
        masks = decode(controllers, [second], 1)[0]
        for each in (first, slow, second):
            each.close()
        return masks

    assert count(True, "one") == count(False, "two")


HELD = """
#include "onecopy.h"
static char config[8];
OC_EXPORT int init_prompt(void) {
    volatile int32_t *words = oc_data(oc_need_window("words"));
    if (oc_config(config, sizeof config)) while (!words[0]) {}
    else words[1]++;
    return 0;
}
OC_EXPORT int mid_process(void) { return oc_allow(NULL); }
"""

GREEDY = """
#include "onecopy.h"
static char value[1 << 16];
OC_EXPORT int init_prompt(void) {
    oc_var_set("kept", 4, value, sizeof value);
    oc_give_up("enough");
    return 1;
}
OC_EXPORT int mid_process(void) { return oc_allow(NULL); }
"""

OPENER = "(_, opener), = worker.service('sequences')._benches.values()"


@pytest.fixture(scope="module")
def glass() -> Iterator[Pool]:
    """One worker that tests can look into."""
    services = (*SERVICES, "tests.guests.probing")
    with Pool(workers=1, guest_ms=5000, step_ms=60_000, services=services) as pool:
        yield pool


@pytest.fixture
def probed(vocabulary: Vocabulary, glass: Pool) -> Iterator[Controllers]:
    """A batch of four in it."""
    with Controllers(None, vocabulary, glass, batch=4, keep=0) as controllers:
        yield controllers


def test_one_that_is_closed_while_it_waits_for_its_turn_is_never_opened(
    probed: Controllers, store: onecopy.Store, build: Callable[..., bytes]
) -> None:
    """The one before it does not end before the worker knows; what guests did is in a window."""
    module = build(HELD)
    store.save("words", memoryview(bytes(8)).cast("i"), mutable=True, align=4096)
    words = store.load("words")
    windows = {"words": (store.ref("words"), "rw")}
    first = probed.open(module, "wait", windows=windows, seconds=60, wait=False)
    eventually(lambda: first.station)
    worker = first.station.worker
    queued = [probed.open(module, windows=windows, request="no", wait=False) for _ in range(3)]
    eventually(lambda: probe(worker, f"{OPENER}; found = len(opener._ordered)") == "4")
    for each in queued:
        each.close()
    eventually(lambda: probe(worker, f"{OPENER}; found = len(opener._unwanted)") == "3")
    words[0] = 1
    last = probed.open(module, windows=windows)
    assert words[1] == 1
    assert probe(worker, f"{OPENER}; found = opener._unwanted or opener._ordered") == "{}"
    assert isinstance(probed.step({first: [], last: []}).outcomes[last], Allowed)


def test_variables_of_a_request_end_if_none_of_it_can_be_opened(
    probed: Controllers, glass: Pool, build: Callable[..., bytes]
) -> None:
    module = build(GREEDY)
    for number in range(3):
        with pytest.raises(GuestTrapped, match="enough"):
            probed.open(module, request=f"one of many: {number}")
    assert probe(glass.workers[0], f"{OPENER}; found = len(opener._requests)") == "0"
