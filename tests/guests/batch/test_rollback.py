"""Rollbacks by the host: guest, grammars and text are as they were."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from onecopy import InvalidArgument
from onecopy.guests.batch.answers import Stop
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.asking import mask_after
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("torch")


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of eight."""
    with Controllers(None, vocabulary, pool, batch=8) as controllers:
        yield controllers


def test_a_rollback_takes_the_guest_back(controllers: Controllers, scripted: bytes) -> None:
    straight, other = controllers.open(scripted), controllers.open(scripted)
    for sequence in (straight, other):
        mask_after(controllers, sequence, [1])
    mask_after(controllers, other, [5])
    mask_after(controllers, other, [6, 7])
    other.rollback(3)
    assert other.tokens == [1]
    assert mask_after(controllers, other, [2]) == mask_after(controllers, straight, [2])


def test_a_rollback_within_a_call_tells_the_guest_the_rest_again(
    controllers: Controllers, scripted: bytes
) -> None:
    straight, other = controllers.open(scripted), controllers.open(scripted)
    mask_after(controllers, other, [1, 2, 3])
    other.rollback(2)
    assert mask_after(controllers, other, [8]) == mask_after(controllers, straight, [1, 8])
    assert other.history.calls == straight.history.calls


def test_a_rollback_is_part_of_what_is_rebuilt(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    straight, other = controllers.open(scripted), controllers.open(scripted)
    mask_after(controllers, straight, [1, 8])
    mask_after(controllers, other, [1, 2, 3])
    other.rollback(2)
    old = list(pool.workers)
    os.kill(other.station.worker.pid, signal.SIGKILL)
    eventually(lambda: pool.workers != old)
    assert mask_after(controllers, other, [8, 9]) != mask_after(controllers, straight, [9])
    assert other.history.calls == [(1, 8, 9)]


def test_a_rollback_brings_a_stopped_sequence_back(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted, "stop=2")
    mask_after(controllers, sequence, [1])
    assert isinstance(controllers.step({sequence: [2]}).outcomes[sequence], Stop)
    sequence.rollback(1)
    # The guest counts its calls in memory, which the rollback restored too.
    assert isinstance(controllers.step({sequence: [3]}).outcomes[sequence], Stop)
    sequence.rollback(2)
    mask_after(controllers, sequence, [4])


@pytest.mark.parametrize("count", [3, -1])
def test_a_rollback_of_what_there_is_not_is_refused(
    controllers: Controllers, scripted: bytes, count: int
) -> None:
    sequence = controllers.open(scripted, prompt=[9, 9, 9])
    mask_after(controllers, sequence, [1, 2])
    with pytest.raises(InvalidArgument):
        sequence.rollback(count)
    assert sequence.tokens == [9, 9, 9, 1, 2]
    mask_after(controllers, sequence, [3])


def test_a_rollback_of_more_than_there_is_says_so_whatever_is_kept(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    controllers.step({sequence: []})
    controllers.step({sequence: [3]})
    with pytest.raises(InvalidArgument, match="there are 1 since"):
        sequence.rollback(1000)
    sequence.close()


def test_a_rollback_beyond_what_is_kept_is_refused(
    vocabulary: Vocabulary, pool: Pool, scripted: bytes
) -> None:
    with Controllers(None, vocabulary, pool, batch=1, keep=2) as controllers:
        sequence = controllers.open(scripted)
        for token in range(5):
            mask_after(controllers, sequence, [token])
        with pytest.raises(InvalidArgument, match="keep="):
            sequence.rollback(3)
        sequence.rollback(2)
        mask_after(controllers, sequence, [7])


def test_two_rollbacks_reach_no_further_back_than_one(
    vocabulary: Vocabulary, pool: Pool, scripted: bytes
) -> None:
    with Controllers(None, vocabulary, pool, batch=2, keep=2) as controllers:
        straight, other = controllers.open(scripted), controllers.open(scripted)
        for token in range(3):
            mask_after(controllers, straight, [token])
        for token in range(5):
            mask_after(controllers, other, [token])
        other.rollback(2)
        mask_after(controllers, other, [7])
        with pytest.raises(InvalidArgument, match="3 tokens before"):
            other.rollback(2)
        other.rollback(1)
        assert mask_after(controllers, other, [5]) == mask_after(controllers, straight, [5])


def test_a_rollback_over_a_fork_is_part_of_what_is_rebuilt(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    def run(disturbed: bool) -> list[list[int]]:
        sequence = controllers.open(scripted)
        mask_after(controllers, sequence, [1, 2])
        _, twin = sequence.fork(2)
        twin.rollback(1)
        mask_after(controllers, twin, [3])
        if disturbed:
            old = list(pool.workers)
            os.kill(sequence.station.worker.pid, signal.SIGKILL)
            eventually(lambda: pool.workers != old)
        masks = [mask_after(controllers, each, [5]) for each in (sequence, twin)]
        sequence.close()
        twin.close()
        return masks

    assert run(disturbed=True) == run(disturbed=False)
