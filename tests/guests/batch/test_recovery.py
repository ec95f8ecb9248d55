"""Workers that are lost: who is rebuilt, and who is to blame."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from onecopy import WorkerLost
from onecopy.guests.batch.answers import Failed, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.losing import reference, replace_worker, settled
from tests.guests.batch.test_controllers import allowed, decode
from tests.guests.tokenizers_of import byte_level
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("torch")


@pytest.fixture
def pool() -> Iterator[Pool]:
    """One worker, whose steps may take 50 ms, and guests long."""
    with Pool(workers=1, guest_ms=5000, step_ms=50) as pool:
        yield pool


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of six."""
    with Controllers(None, vocabulary, pool, batch=6, biases=True, keep=0) as controllers:
        yield controllers


def test_what_is_lost_is_opened_elsewhere(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted)
    lost = sequence.station
    os.kill(lost.worker.pid, signal.SIGKILL)
    eventually(lambda: sequence.station not in (None, lost))
    sequence.wait(60)
    assert sequence.station.worker is not lost.worker
    decode(controllers, [sequence], 1)


def test_those_that_others_cost_their_worker_are_not_held_to_have_done_it(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    """Neither those that are not to be rebuilt, nor others of their module."""
    other = controllers.open(scripted)
    for _ in range(4):
        sequence = controllers.open(scripted, rebuild=False)
        replace_worker(pool)
        eventually(lambda each=sequence: each.state == "failed")
        assert isinstance(sequence.error, WorkerLost)
        sequence.close()
        other.wait(60)
    last = controllers.open(scripted)
    decode(controllers, [other, last], 2)


def test_a_vocabulary_that_is_closed_early_costs_no_worker(pool: Pool, scripted: bytes) -> None:
    """What is opened and rebuilt after that needs it still."""
    with Vocabulary.from_tokenizer(byte_level()) as vocabulary:
        controllers = Controllers(None, vocabulary, pool, batch=2, keep=0)
    with controllers:
        sequence = controllers.open(scripted)
        replace_worker(pool)
        sequence.wait(60)
        assert pool.stats()["restarts"] == 1
        decode(controllers, [sequence, controllers.open(scripted)], 1)


def test_a_worker_that_dies_between_steps_costs_nobody_anything(
    controllers: Controllers, pool: Pool, vocabulary: Vocabulary, scripted: bytes
) -> None:
    expected = reference(vocabulary, scripted, "", 4)
    sequences = [controllers.open(scripted) for _ in range(3)]
    tokens: dict = {each: [] for each in sequences}
    for i in range(4):
        for each in sequences:
            step = controllers.step({each: tokens[each]})
            if isinstance(step.outcomes[each], Suspended):
                step = settled(controllers, each)
            assert allowed(step, each) == expected[i]
            tokens[each] = expected[i][:1]
        if i == 1:
            replace_worker(pool)
    assert [each.state for each in sequences] == ["ready"] * 3


def test_the_sequence_that_ran_when_its_worker_crashed_fails_and_the_others_are_rebuilt(
    controllers: Controllers, pool: Pool, vocabulary: Vocabulary, scripted: bytes
) -> None:
    expected = reference(vocabulary, scripted, "", 2)
    looping = controllers.open(scripted, "loop=1")
    other = controllers.open(scripted)
    controllers.begin({looping: [], other: []})
    slot, words = controllers.batch.board.slot(0), controllers.batch.board.words
    eventually(lambda: words[slot + 3] == looping.row + 1)
    os.kill(pool.workers[0].pid, signal.SIGABRT)
    step = controllers.finish()
    assert isinstance(step.outcomes[other], Suspended)
    assert allowed(settled(controllers, other), other) == expected[0]
    answer = controllers.step({looping: []}).outcomes[looping]
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, WorkerLost)
    assert dict(controllers.batch.ledger.offences) == {looping.origin.kind: 1}


def test_what_runs_when_somebody_else_ends_its_worker_is_called_again(
    controllers: Controllers, pool: Pool, vocabulary: Vocabulary, scripted: bytes
) -> None:
    looping = controllers.open(scripted, "loop=1")
    slot, words = controllers.batch.board.slot(0), controllers.batch.board.words
    for ended in range(3):
        assert looping.suspected == ended
        while words[slot + 3] != looping.row + 1:
            controllers.step({looping: []})
        replace_worker(pool)
        eventually(lambda: not looping.awaited)
    # But not for ever: the kernel ends what takes all memory in the same way.
    answer = controllers.step({looping: []}).outcomes[looping]
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, WorkerLost)


def test_a_worker_that_cannot_be_replaced_fails_what_lived_there(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    pool.close()
    eventually(lambda: controllers.step({sequence: []}) and sequence.state == "failed")
    answer = controllers.step({sequence: []}).outcomes[sequence]
    assert isinstance(answer, Failed)
