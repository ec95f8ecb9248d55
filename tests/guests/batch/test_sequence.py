"""Forks and rollbacks of sequences, by guests and by the host."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from onecopy import GuestError, InvalidArgument, LimitReached
from onecopy.guests.batch.answers import Allowed, Failed, Fork, Stop, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.sequence import Sequence
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.messages import Ping
from onecopy.guests.workers.pool import Pool
from tests.conftest import open_files
from tests.guests.batch.test_controllers import allowed, decode
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("torch")


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of eight."""
    with Controllers(None, vocabulary, pool, batch=8) as controllers:
        yield controllers


def mask_after(controllers: Controllers, sequence, tokens) -> list[int]:
    """The mask of a sequence once these tokens were appended."""
    step = controllers.step({sequence: tokens})
    if isinstance(step.outcomes[sequence], Suspended):
        sequence.wait(60)
        step = controllers.step({sequence: []})
    assert isinstance(step.outcomes[sequence], Allowed)
    return allowed(step, sequence)


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


def test_branches_go_on_alone_and_are_told_apart(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, prompt=[4])
    mask_after(controllers, sequence, [1])
    family = sequence.fork(3)
    assert family[0] is sequence
    assert len({each.row for each in family}) == 3
    masks = [mask_after(controllers, each, [2]) for each in family]
    assert masks[0] != masks[1] != masks[2]
    assert all(each.tokens == [4, 1, 2] for each in family)
    family[1].close()
    mask_after(controllers, family[2], [3])


def test_a_guest_forks_its_sequence(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, "fork=2 branches=4")
    mask_after(controllers, sequence, [1])
    fork = controllers.step({sequence: [2]}).outcomes[sequence]
    assert isinstance(fork, Fork)
    assert fork.sequences[0] is sequence
    assert len(fork.sequences) == 4
    masks = decode(controllers, list(fork.sequences), 2)
    assert len({tuple(each[0]) for each in masks}) == 4


def test_forks_are_part_of_what_is_rebuilt(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    def run(disturbed: bool) -> list[list[list[int]]]:
        sequence = controllers.open(scripted, "fork=2 branches=3")
        mask_after(controllers, sequence, [1])
        (fork,) = controllers.step({sequence: [2]}).outcomes.values()
        assert isinstance(fork, Fork)
        family = [*fork.sequences, *fork.sequences[1].fork(2)[1:]]
        if disturbed:
            old = list(pool.workers)
            os.kill(sequence.station.worker.pid, signal.SIGKILL)
            eventually(lambda: pool.workers != old)
        masks = [[mask_after(controllers, each, [t]) for t in (3, 4)] for each in family]
        for each in family:
            each.close()
        return masks

    assert run(disturbed=True) == run(disturbed=False)


def test_a_fork_whose_worker_is_lost_at_the_last_moment_is_made_by_the_next(
    controllers: Controllers, scripted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequence = controllers.open(scripted)
    mask_after(controllers, sequence, [1])
    rounds, lost = controllers._rounds, sequence.station
    await_worker = rounds._await_worker

    def lose_it_then(sequence: Sequence) -> None:
        await_worker(sequence)
        if sequence.station is lost:
            os.kill(lost.worker.pid, signal.SIGKILL)
            eventually(lambda: lost.lost)

    monkeypatch.setattr(rounds, "_await_worker", lose_it_then)
    family = sequence.fork(2)
    masks = [mask_after(controllers, each, []) for each in family]
    assert masks[0] != masks[1]


def test_a_fork_without_room_is_refused_and_costs_nothing(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    with pytest.raises(LimitReached, match="batch="):
        sequence.fork(9)
    for branches in (0, 65):
        with pytest.raises(InvalidArgument):
            sequence.fork(branches)
    mask_after(controllers, sequence, [])


def test_a_guest_that_forks_and_forks_does_not_take_all_rows(
    vocabulary: Vocabulary, pool: Pool, scripted: bytes
) -> None:
    with Controllers(None, vocabulary, pool, batch=8, branches=3, keep=0) as controllers:
        sequence, other = (controllers.open(scripted, "fork=1 branches=2") for _ in range(2))
        for each in controllers.step({sequence: [], other: []}).outcomes.values():
            assert isinstance(each, Fork)
        greedy = controllers.open(scripted, "fork=1 branches=4")
        answer = controllers.step({greedy: []}).outcomes[greedy]
        assert isinstance(answer, Failed)
        assert "branches=" in str(answer.error)
        assert len(other.fork(4)) == 4  # the host may


def test_a_guest_that_forks_beyond_the_batch_fails(
    controllers: Controllers, scripted: bytes
) -> None:
    sequence = controllers.open(scripted, "fork=1 branches=9")
    answer = controllers.step({sequence: []}).outcomes[sequence]
    assert isinstance(answer, Failed)
    assert isinstance(answer.error, LimitReached)


def test_what_is_closed_or_failed_is_not_forked(controllers: Controllers, scripted: bytes) -> None:
    sequence = controllers.open(scripted, "trap=1")
    controllers.step({sequence: []})
    with pytest.raises(GuestError):
        sequence.fork()
    sequence.close()
    with pytest.raises(GuestError, match="closed"):
        sequence.fork()


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


def test_nothing_is_left_of_controllers_that_were_closed(
    vocabulary: Vocabulary, pool: Pool, scripted: bytes
) -> None:
    def use() -> None:
        with Controllers(None, vocabulary, pool, batch=4) as controllers:
            for _ in range(3):
                family = controllers.open(scripted).fork(3)
                masks = [mask_after(controllers, each, []) for each in family]
                assert masks
                for each in family:
                    each.close()
            old = list(pool.workers)
            lost = controllers.open(scripted)
            os.kill(lost.station.worker.pid, signal.SIGKILL)
            eventually(lambda: pool.workers != old)
            mask_after(controllers, lost, [])
        eventually(lambda: len(pool.stats()["workers"]) == 2)
        for worker in pool.workers:
            worker.request(Ping())

    use()
    gc.collect()  # the pages of workers that are gone are mapped as long as these are known
    files, threads = open_files(), threading.active_count()
    for _ in range(3):
        use()
    gc.collect()
    eventually(lambda: open_files() <= files and threading.active_count() <= threads)
    assert all(each["guests"] == 0 for each in pool.stats()["workers"])
