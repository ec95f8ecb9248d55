"""Controllers with windows of their own: through forks, rollbacks and the deaths of workers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from onecopy import GuestError, WindowRefused, WorkerLost, guests
from onecopy.guests.batch.answers import Allowed, Failed, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.sequence import Sequence
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.messages import Ping
from onecopy.guests.workers.pool import Pool
from tests.conftest import open_files
from tests.guests.batch.test_controllers import allowed
from tests.guests.waiting import eventually

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")

# Allows the tokens that the document has at the places that it was told of, and notes in the
# tally how often it was called. It writes to the document, too, which must be seen by nobody.
READER = """
#include "onecopy.h"
static uint32_t mask[OC_MASK_WORDS(131072)];
static uint32_t places[1000], count, calls;
OC_EXPORT int init_prompt(void) {
    struct oc_window *tally = oc_window("tally");
    if (tally) ((int32_t *)oc_data(tally))[0]++;
    return 0;
}
OC_EXPORT int mid_process(void) {
    int32_t *document = oc_data(oc_need_window("document"));
    struct oc_window *tally = oc_window("tally");
    calls++;
    if (tally) {
        if (!(tally->flags & OC_WRITABLE)) return oc_stop();
        ((int32_t *)oc_data(tally))[calls]++;
    }
    for (uint32_t i = 0; i < oc_step_count(); i++) places[count++] = oc_step_token(i);
    oc_mask_clear(mask);
    oc_mask_allow(mask, 999);
    for (uint32_t i = 0; i < count; i++) oc_mask_allow(mask, document[places[i]]);
    document[0] = 998;
    return oc_allow(mask);
}
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    """One worker with time."""
    with Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool:
        yield pool


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of eight."""
    with Controllers(None, vocabulary, pool, batch=8) as controllers:
        yield controllers


@pytest.fixture
def reader(build: Callable[..., bytes]) -> bytes:
    """The guest."""
    return build(READER)


@pytest.fixture
def document(store):
    """A reference to what the guest reads: 900, 899, ..."""
    store.save("document", torch.arange(900, 0, -1, dtype=torch.int32))
    return store.ref("document")


@pytest.fixture
def tally(store):
    """What the guest counts in."""
    store.save("tally", torch.zeros(64, dtype=torch.int32), mutable=True, align=4096)
    return store.load("tally", mode="shared")


def seen(controllers: Controllers, sequence: Sequence, tokens: list[int]) -> set[int]:
    """What a sequence may go on with after some tokens."""
    step = controllers.step({sequence: tokens})
    while isinstance(step.outcomes[sequence], Suspended):
        sequence.wait(60)
        step = controllers.step({sequence: []})
    assert isinstance(step.outcomes[sequence], Allowed)
    return set(allowed(step, sequence)) - {999}


def replace_worker(pool: Pool) -> None:
    """Kill the worker, and return when another one has taken its place."""
    old = list(pool.workers)
    os.kill(old[0].pid, signal.SIGKILL)
    eventually(lambda: pool.workers != old)


def test_a_controller_reads_an_entry_and_its_writes_are_its_own(
    controllers: Controllers, reader: bytes, document, store
) -> None:
    one, two = (controllers.open(reader, windows={"document": document}) for _ in range(2))
    assert seen(controllers, one, []) == set()
    assert seen(controllers, one, [3, 5]) == {897, 895}
    assert seen(controllers, two, [0]) == {900}
    assert seen(controllers, one, [0]) == {897, 895, 900}
    assert store.load("document")[0] == 900


def test_branches_share_the_windows_and_a_rollback_goes_back_without_them(
    controllers: Controllers, reader: bytes, document, tally
) -> None:
    windows = {"document": (document, "r"), "tally": (tally, "rw")}
    one = controllers.open(reader, windows=windows)
    assert seen(controllers, one, [1]) == {899}
    _, two = one.fork(2)
    assert seen(controllers, one, [2]) == {899, 898}
    assert seen(controllers, two, [4]) == {899, 896}
    one.rollback(1)
    assert seen(controllers, one, [7]) == {899, 893}
    # Its memory went back, and not what it wrote to the tensor.
    assert tally[:4].tolist() == [1, 1, 3, 0]
    one.close()
    assert seen(controllers, two, [5]) == {899, 896, 895}


def test_a_rebuilt_sequence_has_its_windows_and_writes_nothing_twice(
    controllers: Controllers, pool: Pool, reader: bytes, store, document, tally
) -> None:
    windows = {"document": document, "tally": (tally, "rw")}
    one = controllers.open(reader, windows=windows, request="r")
    two = controllers.open(reader, windows={"document": document}, request="r")
    seen(controllers, one, [1])
    _, three = one.fork(2)
    assert seen(controllers, three, [2]) == {899, 898}
    assert seen(controllers, two, [9]) == {891}
    store.remove("document")
    before = tally.clone()
    replace_worker(pool)
    for each, expected in ((one, {899}), (three, {899, 898}), (two, {891})):
        assert seen(controllers, each, [3]) == expected | {897}
    assert before[:4].tolist() == [1, 1, 1, 0]
    assert tally[:4].tolist() == [1, 1, 2, 1]


def test_one_that_is_not_to_be_rebuilt_fails(
    controllers: Controllers, pool: Pool, reader: bytes, document
) -> None:
    one = controllers.open(reader, windows={"document": document}, rebuild=False)
    two = controllers.open(reader, windows={"document": document})
    assert seen(controllers, one, [1]) == seen(controllers, two, [1]) == {899}
    replace_worker(pool)
    assert seen(controllers, two, [2]) == {899, 898}
    answer = controllers.step({one: []}).outcomes[one]
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, WorkerLost)
    assert "rebuild=False" in str(answer.error)


def test_what_cannot_be_mapped_is_refused_or_copied(
    controllers: Controllers, reader: bytes, document
) -> None:
    heap = torch.tensor([5, 6, 7], dtype=torch.int32)
    for windows in ({"document": heap}, {"document": (document, "rw")}, {"vocab": document}):
        with pytest.raises(WindowRefused):
            controllers.open(reader, windows=windows)
    assert controllers._crew.roster.free == 8
    sequence = controllers.open(reader, windows={"document": heap}, copy=True)
    assert seen(controllers, sequence, [2]) == {7}
    sequence = controllers.open(reader, windows={"document": (guests.copy_of(heap), "r")})
    assert seen(controllers, sequence, [1]) == {6}


def test_one_that_fills_what_it_may_only_read_costs_itself(
    controllers: Controllers, reader: bytes, build: Callable[..., bytes], document, store
) -> None:
    store.save("large", torch.zeros(8 << 20, dtype=torch.uint8))
    filler = build(
        '#include "onecopy.h"\nOC_EXPORT int mid_process(void) {'
        '    struct oc_window *x = oc_need_window("x");'
        "    __builtin_memset(oc_data(x), 7, x->nbytes);"
        "    return oc_allow(0); }",
        "-mbulk-memory",
    )
    bad = controllers.open(filler, windows={"x": store.ref("large")}, memory_limit=4 << 20)
    good = controllers.open(reader, windows={"document": document})
    controllers.step({bad: [], good: []})
    step = controllers.step({bad: [1], good: [3]})
    answer = step.outcomes[bad]
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, GuestError)
    assert set(allowed(step, good)) == {897, 999}
    assert not store.load("large").any()


def test_a_window_beside_the_logits_may_not_take_their_name(
    vocabulary: Vocabulary, pool: Pool, reader: bytes, document, store
) -> None:
    logits = guests.buffer(2, vocabulary.size, store=store)
    with Controllers(store, vocabulary, pool, batch=2, logits=logits) as controllers:
        with pytest.raises(WindowRefused, match="logits"):
            controllers.open(reader, windows={"logits": document})
        sequence = controllers.open(reader, windows={"document": document})
        assert seen(controllers, sequence, [3]) == {897}


def test_nothing_is_left_of_windows_when_their_sequences_are_closed(
    vocabulary: Vocabulary, pool: Pool, reader: bytes, document, tally
) -> None:
    (worker,) = pool.workers

    def descriptors() -> int:
        worker.request(Ping())
        return len(os.listdir(f"/proc/{worker.pid}/fd"))

    with Controllers(None, vocabulary, pool, batch=4) as controllers:
        windows = {"document": document, "tally": (tally, "rw")}
        controllers.open(reader, windows=windows).close()
        eventually(lambda: not controllers._crew.lender._segments)
        ours, theirs = open_files(), descriptors()
        for _ in range(20):
            one = controllers.open(reader, windows=windows)
            one.fork(2)[1].close()
            one.close()
        assert open_files() == ours
        eventually(lambda: descriptors() <= theirs)  # the first two may have been there still
