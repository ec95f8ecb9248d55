"""Workers that are late, loop, die: what the others of the batch see of it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from onecopy import GuestError, GuestTimeout, InvalidArgument
from onecopy.guests.batch.answers import Allowed, Failed, Splice, Suspended
from onecopy.guests.batch.controllers import Controllers
from onecopy.guests.batch.steps import ANSWERED
from onecopy.guests.decoding.vocabulary import Vocabulary
from onecopy.guests.workers.pool import Pool
from tests.guests.batch.losing import reference, replace_worker, settled, stopped
from tests.guests.batch.test_controllers import allowed, decode
from tests.guests.waiting import eventually

np = pytest.importorskip("numpy")
torch = pytest.importorskip("torch")


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


def test_a_late_sequence_is_suspended_and_catches_up(
    controllers: Controllers, pool: Pool, vocabulary: Vocabulary, scripted: bytes
) -> None:
    expected = reference(vocabulary, scripted, "", 3)
    sequence = controllers.open(scripted)
    assert allowed(settled(controllers, sequence), sequence) == expected[0]
    with stopped(pool):
        step = controllers.step({sequence: [expected[0][0]]})
        assert isinstance(step.outcomes[sequence], Suspended)
        assert step.late == (sequence,)
        assert allowed(step, sequence) == [vocabulary.eos]
        assert int(torch.isfinite(step.biases[sequence.row]).sum()) == 1
        with pytest.raises(InvalidArgument, match="suspended"):
            controllers.step({sequence: [1]})
        assert isinstance(controllers.step({sequence: []}).outcomes[sequence], Suspended)
    step = settled(controllers, sequence)
    assert allowed(step, sequence) == expected[1]
    assert step.late == ()
    step = controllers.step({sequence: [expected[1][0]]})
    if isinstance(step.outcomes[sequence], Suspended):
        step = settled(controllers, sequence)
    assert allowed(step, sequence) == expected[2]


def test_a_late_worker_does_not_write_into_a_row_that_is_in_use(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    sequence = controllers.open(scripted)
    with stopped(pool):
        step = controllers.step({sequence: []})
        before = step.mask[sequence.row].clone()
    line, words = sequence.line, controllers.batch.board.words
    eventually(lambda: words[line + 2048] == sequence.asked)
    assert torch.equal(step.mask[sequence.row], before)


def test_a_sequence_that_goes_on_freely_is_told_later_what_it_missed(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    sequence = controllers.open(scripted, on_failure="free")
    with stopped(pool):
        step = controllers.step({sequence: []})
        assert step.outcomes[sequence] == Allowed(constrained=False)
        assert len(allowed(step, sequence)) == controllers.vocabulary.size
        controllers.step({sequence: [1]})
        controllers.step({sequence: [2, 3]})

    def constrained() -> bool:
        answer = controllers.step({sequence: []}).outcomes[sequence]
        assert isinstance(answer, Allowed)
        return answer.constrained

    eventually(constrained)
    assert sequence.tokens == [1, 2, 3]
    assert sequence.history.calls[:2] == [(), (1, 2, 3)]


def test_a_sequence_closed_while_late_frees_its_row(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    first = [controllers.open(scripted) for _ in range(6)]
    with stopped(pool):
        step = controllers.step({sequence: [] for sequence in first})
        first[2].close()
        assert step.mask[first[2].row, 0] == -1
    eventually(first[0].station.idle)
    second = controllers.open(scripted)
    assert second.row == first[2].row
    assert len(allowed(settled(controllers, second), second)) > 1


def test_a_guest_that_loops_is_cut_off_and_its_neighbours_are_as_ever(
    vocabulary: Vocabulary, scripted: bytes
) -> None:
    expected = reference(vocabulary, scripted, "", 4)
    with (
        Pool(workers=1, guest_ms=20, step_ms=60_000) as pool,
        Controllers(None, vocabulary, pool, batch=4, keep=0) as controllers,
    ):
        looping = controllers.open(scripted, "loop=2")
        others = [controllers.open(scripted) for _ in range(2)]
        tokens: dict = {each: [] for each in (looping, *others)}
        for i in range(4):
            step = controllers.step(tokens)
            for each in others:
                assert allowed(step, each) == expected[i]
                tokens[each] = expected[i][:1]
            tokens[looping] = expected[0][:1] if i == 0 else []
        answer = step.outcomes[looping]
        assert isinstance(answer, Failed)
        assert isinstance(answer.error, GuestTimeout)


def test_known_offenders_run_last_and_end_in_quarantine(
    vocabulary: Vocabulary, scripted: bytes
) -> None:
    with (
        Pool(workers=1, guest_ms=10, step_ms=60_000) as pool,
        Controllers(None, vocabulary, pool, batch=8, keep=0) as controllers,
    ):
        good = controllers.open(scripted)
        for _ in range(3):
            bad = controllers.open(scripted, "loop=1")
            step = controllers.step({bad: [], good: []})
            assert isinstance(step.outcomes[bad], Failed)
            assert isinstance(step.outcomes[good], Allowed)
        slot = controllers.batch.board.slot(0)
        assert controllers.batch.board.words[slot + 64] == good.row
        assert controllers.batch.board.words[slot + 65] == bad.row
        with pytest.raises(GuestError, match="not run any more"):
            controllers.open(scripted, "loop=1")
        assert isinstance(controllers.step({good: []}).outcomes[good], Allowed)
        controllers.open(scripted, "trap=7")


def test_a_rollback_of_what_a_late_guest_was_not_told_leaves_its_answer(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    """Else it would be called again, and hear it twice."""
    free = controllers.open(scripted, on_failure="free")
    late, straight = controllers.open(scripted), controllers.open(scripted)
    with stopped(pool):
        controllers.step({free: [1], late: [1]})
        late.rollback(0)
        controllers.step({free: [2]})
        free.rollback(1)
    step = controllers.step({straight: [1]})
    if isinstance(step.outcomes[straight], Suspended):
        step = settled(controllers, straight)
    expected = allowed(step, straight)
    assert allowed(settled(controllers, late), late) == expected
    # It was asked before the others, and so has answered.
    step = controllers.step({free: []})
    assert step.outcomes[free] == Allowed()
    assert allowed(step, free) == expected


def test_a_branch_lives_on_when_the_first_is_closed_before_their_worker_has_forked_it(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    first = controllers.open(scripted)
    undisturbed = controllers.open(scripted).fork(2)[1]
    with stopped(pool):
        _, branch = first.fork(2)
        first.close()
        eventually(lambda: not branch.station._orders)
    masks = [allowed(settled(controllers, each), each) for each in (branch, undisturbed)]
    assert masks[0] == masks[1]


def test_a_fork_of_one_that_answered_late_leaves_its_answer(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    late, straight = controllers.open(scripted), controllers.open(scripted)
    splicing = controllers.open(scripted, "splice=1 back=0")
    with stopped(pool):
        controllers.step({late: [1], splicing: [1]})
    eventually(late.station.idle)
    late.fork(2)
    step = controllers.step({straight: [1]})
    if isinstance(step.outcomes[straight], Suspended):
        step = settled(controllers, straight)
    expected = allowed(step, straight)
    assert allowed(settled(controllers, late), late) == expected
    with pytest.raises(InvalidArgument, match="step it"):
        splicing.fork(2)  # a branch would not have what it splices in
    assert isinstance(settled(controllers, splicing).outcomes[splicing], Splice)
    eventually(splicing.station.idle)
    assert len(splicing.fork(2)) == 2


def test_an_answer_of_a_lost_worker_is_dropped_by_a_rollback(
    vocabulary: Vocabulary, pool: Pool, scripted: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was about the text as it was before."""
    with Controllers(None, vocabulary, pool, batch=2, keep=1) as controllers:
        straight, other = (controllers.open(scripted, prompt=[1]) for _ in range(2))
        crew, lost, words = controllers._crew, [], controllers.batch.board.words
        with stopped(pool):
            step = controllers.step({other: [2]})
            assert isinstance(step.outcomes[other], Suspended)
        eventually(lambda: words[other.line + ANSWERED] == other.asked)
        rebuild = crew.recovery.rebuild
        monkeypatch.setattr(crew.recovery, "rebuild", lambda group, _: lost.append(group))
        replace_worker(pool)
        eventually(lambda: len(lost) == 2)
        other.rollback(1)
        for group in lost:
            rebuild(group)
        masks = [allowed(settled(controllers, each), each) for each in (straight, other)]
        assert masks[0] == masks[1]


def test_shared_variables_are_rebuilt_in_the_order_in_which_they_were_set(
    vocabulary: Vocabulary, scripted: bytes
) -> None:
    def run(disturbed: bool) -> list[list[int]]:
        with (
            Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool,
            Controllers(None, vocabulary, pool, batch=6, keep=4) as controllers,
        ):
            one, two = (controllers.open(scripted, "count=1", request="r") for _ in range(2))
            for tokens in ([], [1], [2]):
                decode_once(controllers, {one: tokens, two: tokens})
                decode_once(controllers, {two: [9]})
            _, three = one.fork(2)
            decode_once(controllers, {three: [4], one: [5], two: [6]})
            if disturbed:
                replace_worker(pool)
            masks = []
            for each in (two, three, one):
                step = controllers.step({each: [7]})
                if isinstance(step.outcomes[each], Suspended):
                    step = settled(controllers, each)
                masks.append(allowed(step, each))
            return masks

    assert run(disturbed=True) == run(disturbed=False)


def decode_once(controllers: Controllers, tokens: dict) -> None:
    """One step that everybody answers."""
    step = controllers.step(tokens)
    assert all(isinstance(each, Allowed) for each in step.outcomes.values())


def test_steps_do_not_wait_for_sequences_that_are_opened(
    vocabulary: Vocabulary, scripted: bytes
) -> None:
    with Pool(workers=1, guest_ms=5000, step_ms=60_000) as pool:
        with Controllers(None, vocabulary, pool, batch=3) as controllers:
            good = controllers.open(scripted)
            slow = controllers.open(scripted, "init_loop=1", seconds=60, wait=False)
            slot, words = controllers.batch.board.slot(0), controllers.batch.board.words
            eventually(lambda: words[slot + 4] == slow.number)
            for tokens in ([], [1], [2]):
                step = controllers.step({good: tokens, slow: []})
                assert isinstance(step.outcomes[good], Allowed)
                assert isinstance(step.outcomes[slow], Suspended)
            assert slow.state == "opening"
        # Nor do other Controllers in the same worker, once these are closed.
        with Controllers(None, vocabulary, pool, batch=1) as controllers:
            other = controllers.open(scripted)
            assert isinstance(controllers.step({other: []}).outcomes[other], Allowed)


def test_a_worker_that_opens_nothing_is_ended_and_another_one_opens_it(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    good = controllers.open(scripted)
    decode(controllers, [good], 1)
    (worker,) = pool.workers
    os.kill(worker.pid, signal.SIGSTOP)
    other = controllers.open(scripted, seconds=0.1)
    assert not worker.alive
    for each in (good, other):
        assert isinstance(settled(controllers, each).outcomes[each], Allowed)


def test_what_waits_to_be_opened_when_its_worker_dies_is_opened_as_for_the_first_time(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    slow = controllers.open(scripted, "init_loop=1", seconds=60, wait=False)
    slot, words = controllers.batch.board.slot(0), controllers.batch.board.words
    eventually(lambda: words[slot + 4] == slow.number)
    spliced = controllers.open(scripted, "init_splice=0", [1, 2], wait=False)
    replace_worker(pool, signal.SIGABRT)
    eventually(lambda: spliced.state != "opening")
    assert spliced.state == "ready"
    assert spliced.tokens == [1, 2, 7, 7]


def test_a_branch_keeps_the_place_in_the_pool_of_the_sequence_that_it_left(
    controllers: Controllers, pool: Pool, scripted: bytes
) -> None:
    (worker,) = pool.workers
    one = controllers.open(scripted)
    _, two = one.fork(2)
    one.close()
    # Else another tenant's first guest would end it.
    assert worker.guests == 1
    two.close()
    assert worker.guests == 0
