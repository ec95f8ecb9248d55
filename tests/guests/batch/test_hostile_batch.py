"""Controllers that attack the others of their batch: one test for each attack.

Their sources are in the folder `hostile`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from onecopy import GuestTimeout
from onecopy.guests.batch.answers import Allowed, Failed, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import SERVICES, Pool
from tests.guests.batch.test_controllers import SCRIPTED, allowed
from tests.guests.probing import probe
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("torch")

HOSTILE = Path(__file__).parents[1] / "hostile"


@pytest.fixture
def pool() -> Iterator[Pool]:
    """One worker with time."""
    services = (*SERVICES, "tests.guests.probing")
    with Pool(workers=1, guest_ms=5000, step_ms=60_000, services=services) as pool:
        yield pool


@pytest.fixture
def hurried() -> Iterator[Pool]:
    """One worker whose guests have little time, and its steps much."""
    with Pool(workers=1, guest_ms=2, step_ms=60_000, grace_ms=20_000) as pool:
        yield pool


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of four."""
    with Controllers(None, vocabulary, pool, batch=4, keep=0) as controllers:
        yield controllers


IMPOSSIBLE = (
    *("bias_nan", "bias_huge", "mask_empty", "mask_beyond", "mask_at_end", "splice_long"),
    *("fork_many", "choose_forbidden", "no_result", "stale_result", "trap_in_step"),
)


def test_impossible_answers_of_a_whole_batch_cost_those_who_gave_them(
    vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes]
) -> None:
    """As `test_hostile_controllers` does with one at a time, but by way of the step's C loop."""
    scripted = build(SCRIPTED)
    modules = [build(HOSTILE / f"{name}.c") for name in IMPOSSIBLE]
    batch = len(IMPOSSIBLE) + 3
    with Controllers(None, vocabulary, pool, batch=batch, biases=True) as controllers:
        first, clean = controllers.open(scripted), controllers.open(scripted)
        hostile = [controllers.open(each, prompt=[1, 2, 3]) for each in modules]
        last = controllers.open(scripted)
        tokens: list[int] = []
        failed = set()
        for _ in range(3):
            expected = controllers.step({clean: tokens})
            mask = allowed(expected, clean)
            told = {each: [4] for each in hostile if each not in failed and tokens}
            told |= {each: [] for each in hostile if each not in failed and not tokens}
            step = controllers.step({first: tokens, **told, last: tokens})
            failed |= {each for each in told if isinstance(step.outcomes[each], Failed)}
            for each in (first, last):
                assert isinstance(step.outcomes[each], Allowed)
                assert allowed(step, each) == mask
            tokens = mask[:1]
        assert failed == set(hostile)


def test_time_in_host_calls_is_the_guests(
    vocabulary: Vocabulary, hurried: Pool, build: Callable[..., bytes]
) -> None:
    with Controllers(None, vocabulary, hurried, batch=1, keep=0) as controllers:
        sequence = controllers.open(build(HOSTILE / "late_in_host.c"))
        answer = controllers.step({sequence: []}).outcomes[sequence]
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, GuestTimeout)
    assert "host" in str(answer.error)


def test_who_writes_to_all_of_its_memory_cannot_be_rolled_back_and_holds_up_nobody(
    vocabulary: Vocabulary, hurried: Pool, build: Callable[..., bytes]
) -> None:
    with Controllers(None, vocabulary, hurried, batch=4, keep=8) as controllers:
        neighbour = controllers.open(build(SCRIPTED))
        sequence = controllers.open(build(HOSTILE / "rewrites_memory.c"))
        for tokens in ([], [1], [2]):
            answers = controllers.step({neighbour: tokens, sequence: tokens}).outcomes
            assert all(isinstance(each, Allowed) for each in answers.values())
        for each in (neighbour, sequence):
            each.rollback(1)
        answers = controllers.step({neighbour: [], sequence: []}).outcomes
        assert isinstance(answers[neighbour], Allowed)
        assert isinstance(answers[sequence], Failed)
        assert "writes too much" in str(sequence.error)


def test_a_log_of_any_length_is_no_end_of_the_worker(
    controllers: Controllers, pool: Pool, build: Callable[..., bytes]
) -> None:
    sequence = controllers.open(build(HOSTILE / "chatter_in_step.c"))
    controllers.step({sequence: []})
    lines = sequence.logs
    assert len(lines) == 256
    assert {len(text) for _, text in lines} == {1000}
    assert pool.workers[0].alive


def test_grammars_that_never_end_do_not_keep_others_from_theirs_for_ever(
    controllers: Controllers, pool: Pool, build: Callable[..., bytes]
) -> None:
    module = build(SCRIPTED)
    sequence = controllers.open(module)
    code = """
    import threading, time
    from onecopy.guests.decoding import grammars
    (_, opener), = worker.service("sequences")._benches.values()
    grammars._STUCK_SECONDS = 0
    for _ in range(2):
        thread = threading.Thread(target=threading.Event().wait, daemon=True)
        thread.start()
        opener._grammars._late[thread] = time.monotonic()
    """
    worker = pool.workers[0]
    probe(worker, dedent(code))
    other = controllers.open(module)  # the engine finds it another worker
    assert not worker.alive
    assert "do not end" in worker.reason

    def answered() -> bool:
        answers = controllers.step({sequence: [], other: []}).outcomes.values()
        assert all(isinstance(each, Allowed | Suspended) for each in answers)
        return all(isinstance(each, Allowed) for each in answers)

    eventually(answered)
