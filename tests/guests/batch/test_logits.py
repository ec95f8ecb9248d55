"""Guests that see their row of the logits, and choose the token themselves."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from onecopy import InvalidArgument, WindowRefused, guests
from onecopy.guests.batch.answers import Allowed, Chosen, Failed
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.waiting import eventually

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

# Takes the likeliest token among the first half of the vocabulary, and notes that it was here.
CHOOSER = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)];
OC_EXPORT int mid_process(void) {
    struct oc_control *control = oc_control();
    struct oc_window *window = oc_window("logits");
    if (!window || !(window->flags & OC_WRITABLE) || window->shape[0] != control->vocab)
        return oc_stop();
    float *logits = oc_data(window);
    uint32_t best = 0;
    for (uint32_t i = 0; i < control->vocab / 2; i++) {
        oc_mask_allow(mask, i);
        if (logits[i] > logits[best]) best = i;
    }
    logits[control->vocab - 1] = 1000 + control->branch;
    oc_choose(best);
    control->result.mask = (uint32_t)(uintptr_t)mask;
    return OC_OK;
}
"""
# Chooses what its own mask forbids.
LIAR = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)];
OC_EXPORT int mid_process(void) {
    oc_mask_allow(mask, 1);
    oc_choose(2);
    oc_control()->result.mask = (uint32_t)(uintptr_t)mask;
    return OC_OK;
}
"""

# Takes the most unlikely token.
CONTRARY = """
#include "onecopy.h"
OC_EXPORT int mid_process(void) {
    float *logits = oc_data(oc_window("logits"));
    uint32_t worst = 0;
    for (uint32_t i = 0; i < oc_vocab_size(); i++)
        if (logits[i] < logits[worst]) worst = i;
    return oc_choose(worst);
}
"""
# Writes to its row before anybody asks it to.
HASTY = """
#include "onecopy.h"
static float *row(void) { return oc_data(oc_window("logits")); }
OC_EXPORT int init_prompt(void) {
    row()[3] = 7;
    return OC_OK;
}
OC_EXPORT int mid_process(void) {
    row()[3] += 8;
    return oc_choose(3);
}
"""
# Looks for a secret in all of its memory, when it is opened and at each step.
SPY = """
#include "onecopy.h"
#define SECRET 0x5ec2e75eu
static int found;
static void look(void) {
    const volatile uint32_t *words = 0;
    for (size_t i = 0, n = __builtin_wasm_memory_size(0) * 16384; i < n; i++)
        found += words[i] == SECRET;
}
OC_EXPORT int init_prompt(void) {
    while (__builtin_wasm_memory_grow(0, 1) != (size_t)-1) {}
    look();
    return 0;
}
OC_EXPORT int mid_process(void) {
    look();
    return oc_choose(found);
}
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """A worker with time."""
    with Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool:
        yield pool


@pytest.fixture
def logits(store, vocabulary: Vocabulary):
    """Rows for four sequences, each of its own pages."""
    return guests.buffer(4, vocabulary.size, store=store)


def test_a_guest_reads_its_row_and_chooses(
    store, logits, vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes]
) -> None:
    with Controllers(store, vocabulary, pool, batch=4, logits=logits) as controllers:
        one, two = (controllers.open(build(CHOOSER)) for _ in range(2))
        logits[:] = 0
        logits[one.row, 7] = 1
        logits[two.row, 9] = 1
        logits[:, vocabulary.size - 2] = 5
        step = controllers.step({one: [], two: []})
        assert step.outcomes == {one: Chosen(7), two: Chosen(9)}
        assert step.mask_array[one.row, 0] == 1 << 7
        assert logits[one.row, vocabulary.size - 1] == 1000
        assert logits[3, vocabulary.size - 1] == 0
        # A branch sees its own row, not that of the one that was.
        _, branch = two.fork(2)
        logits[branch.row, 11] = 1
        assert controllers.step({branch: [1]}).outcomes[branch] == Chosen(11)
        assert logits[branch.row, vocabulary.size - 1] == 1001


def test_what_a_guest_writes_while_it_is_opened_is_not_seen(
    store, logits, vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes]
) -> None:
    """The row may be another sequence's by then, if this one is closed."""
    with Controllers(store, vocabulary, pool, batch=4, logits=logits) as controllers:
        logits[:] = 0
        hasty = controllers.open(build(HASTY))
        assert logits[hasty.row, 3] == 0
        assert controllers.step({hasty: []}).outcomes[hasty] == Chosen(3)
        assert logits[hasty.row, 3] == 8


@pytest.mark.parametrize("own", [False, True], ids=["alone", "beside a window of its own"])
def test_a_guest_sees_neither_its_neighbours_rows_nor_what_a_former_one_had_in_its_own(
    store, logits, vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes], own: bool
) -> None:
    store.save("own", torch.zeros(1), mutable=True, align=4096)
    windows = {"own": (store.ref("own"), "rw")} if own else {}
    chooser, spy = build(CHOOSER), build(SPY)
    with Controllers(store, vocabulary, pool, batch=4, logits=logits) as controllers:
        before, former, after = (controllers.open(chooser) for _ in range(3))
        logits.view(torch.int32)[:] = 0x5EC2E75E
        controllers.step({each: [] for each in (before, former, after)})
        former.close()
        attacker = controllers.open(spy, memory_limit=4 << 20, windows=windows)
        assert attacker.row == former.row
        logits[attacker.row] = 0
        for tokens in ([], [0]):
            assert controllers.step({attacker: tokens}).outcomes[attacker] == Chosen(0)


def test_a_choice_is_checked_against_the_mask(
    store, logits, vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes]
) -> None:
    with Controllers(store, vocabulary, pool, batch=4, logits=logits) as controllers:
        liar = controllers.open(build(LIAR))
        answer = controllers.step({liar: []}).outcomes[liar]
        assert isinstance(answer, Failed)
        assert "forbids" in str(answer.error)


def test_logits_that_do_not_fit_are_refused(store, vocabulary: Vocabulary, pool: Pool) -> None:
    for wrong in (torch.zeros(3, vocabulary.size), torch.zeros(4, 7)):
        with pytest.raises(InvalidArgument, match="float32"):
            Controllers(store, vocabulary, pool, batch=4, logits=wrong)
    with pytest.raises(WindowRefused):
        Controllers(store, vocabulary, pool, batch=4, logits=torch.zeros(4, vocabulary.size))


def test_without_logits_there_is_no_such_window(
    vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes]
) -> None:
    with Controllers(None, vocabulary, pool, batch=1) as controllers:
        sequence = controllers.open(build(CHOOSER))
        assert not isinstance(controllers.step({sequence: []}).outcomes[sequence], Allowed | Chosen)


def lose_the_worker(controllers: Controllers, pool: Pool, sequences: list) -> None:
    """Kill it, and return when the sequences are rebuilt or have failed."""
    old = list(pool.workers)
    os.kill(old[0].pid, signal.SIGKILL)
    eventually(lambda: pool.workers != old)
    eventually(lambda: all(each.station is None or not each.station.lost for each in sequences))
    eventually(lambda: not any(each.awaited for each in sequences))


def test_a_guest_that_chooses_is_rebuilt_from_its_choices(
    store, logits, vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes]
) -> None:
    with Controllers(store, vocabulary, pool, batch=4, logits=logits) as controllers:
        sequence = controllers.open(build(CHOOSER))
        tokens: list[int] = []
        for token in (7, 9, 11):
            logits[sequence.row] = 0
            logits[sequence.row, token] = 1
            assert controllers.step({sequence: tokens}).outcomes[sequence] == Chosen(token)
            tokens = [token]
        _, branch = sequence.fork(2)
        logits[:] = 0.5
        lose_the_worker(controllers, pool, [sequence, branch])
        # The guests that were told again did not write to rows that the model may be writing to.
        assert (logits == 0.5).all()
        for each, token in ((sequence, 3), (branch, 5)):
            logits[each.row, token] = 2
            assert controllers.step({each: tokens}).outcomes[each] == Chosen(token)
        last = logits[[sequence.row, branch.row], vocabulary.size - 1]
        assert last.tolist() == [1000, 1001]


def test_a_guest_that_chooses_otherwise_when_it_is_told_again_fails(
    store, logits, vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes]
) -> None:
    with Controllers(store, vocabulary, pool, batch=4, logits=logits) as controllers:
        contrary = controllers.open(build(CONTRARY))
        logits[contrary.row] = 0
        logits[contrary.row, 5] = -1
        assert controllers.step({contrary: []}).outcomes[contrary] == Chosen(5)
        lose_the_worker(controllers, pool, [contrary])
        answer = controllers.step({contrary: []}).outcomes[contrary]
        assert isinstance(answer, Failed)
        assert "chose another token" in str(answer.error)
