"""Forks, by guests and by the host."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from onecopy import InvalidArgument, LimitReached
from onecopy.guests.batch.answers import Failed, Fork
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.sequence import Sequence
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.asking import mask_after
from tests.guests.batch.test_controllers import allowed, decode
from tests.guests.waiting import eventually

pytest.importorskip("numpy")
pytest.importorskip("torch")


@pytest.fixture
def controllers(vocabulary: Vocabulary, pool: Pool) -> Iterator[Controllers]:
    """A batch of eight."""
    with Controllers(None, vocabulary, pool, batch=8) as controllers:
        yield controllers


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
    forks, lost = controllers._rounds.forks, sequence.station
    await_worker = forks._await_worker

    def lose_it_then(sequence: Sequence) -> None:
        await_worker(sequence)
        if sequence.station is lost:
            os.kill(lost.worker.pid, signal.SIGKILL)
            eventually(lambda: lost.lost)

    monkeypatch.setattr(forks, "_await_worker", lose_it_then)
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


def test_a_fork_in_a_step_leaves_the_others_their_answers(
    controllers: Controllers, scripted: bytes
) -> None:
    forking = controllers.open(scripted, "fork=1 branches=2", request="one")
    other = controllers.open(scripted, request="one")
    alone = controllers.open(scripted)
    step = controllers.step({forking: [], other: [], alone: []})
    fork = step.outcomes[forking]
    assert isinstance(fork, Fork)
    assert fork.sequences[0] is forking
    assert allowed(step, other) == allowed(step, alone)
    masks = decode(controllers, list(fork.sequences), 1)
    assert masks[0] != masks[1]
