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
from tests.guests.batch.test_controllers import SCRIPTED
from tests.guests.probing import probe
from tests.guests.tokenizers_of import byte_level
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("torch")

HOSTILE = Path(__file__).parents[1] / "hostile"


@pytest.fixture(scope="module")
def vocabulary() -> Iterator[Vocabulary]:
    """A thousand tokens."""
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        yield vocabulary


@pytest.fixture
def pool() -> Iterator[Pool]:
    """One worker; its guests have little time, and steps much."""
    services = (*SERVICES, "tests.guests.probing")
    with Pool(workers=1, guest_ms=5, step_ms=60_000, grace_ms=20_000, services=services) as pool:
        yield pool


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of four."""
    with Controllers(None, vocabulary, pool, batch=4, keep=0) as controllers:
        yield controllers


def test_time_in_host_calls_is_the_guests(
    controllers: Controllers, build: Callable[..., bytes]
) -> None:
    sequence = controllers.open(build(HOSTILE / "late_in_host.c"))
    answer = controllers.step({sequence: []}).outcomes[sequence]
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, GuestTimeout)
    assert "host" in str(answer.error)


def test_who_writes_to_all_of_its_memory_cannot_be_rolled_back_and_holds_up_nobody(
    vocabulary: Vocabulary, pool: Pool, build: Callable[..., bytes]
) -> None:
    with Controllers(None, vocabulary, pool, batch=4, keep=8) as controllers:
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
    from onecopy.guests.decoding import grammar
    (_, opener), = worker.service("sequences")._benches.values()
    grammar._STUCK_SECONDS = 0
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
