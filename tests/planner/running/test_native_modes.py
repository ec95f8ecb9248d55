"""Recordings and runs as the C library has them: entered, left, and misused."""

import errno
import threading

import pytest
import torch

from onecopy.errors import InvalidArgument, LimitReached
from onecopy.planner.running.native_modes import (
    ALIVE,
    STRAYED,
    UNLIMITED,
    Recorder,
    Replay,
    alike,
    check,
    depth_in,
    install,
)

SLOTS = [(0, 64, 0), (64, 64, 1)]


@pytest.fixture
def depth():
    depth = depth_in(install())
    assert depth() == 0
    yield depth
    assert depth() == 0


@pytest.fixture
def replay():
    replay = Replay(SLOTS, 1, 128)
    yield replay
    replay.release()


def test_a_recorder_returns_size_start_and_end_of_each_allocation(depth):
    recorder = Recorder(UNLIMITED)
    recorder.enter()
    x = torch.empty(10, dtype=torch.uint8)
    y = torch.empty(20, dtype=torch.uint8)
    del x
    facts, events = recorder.leave()
    assert list(events) == [10, 0, 2, 20, 1, ALIVE]
    assert (facts.allocations, facts.clock, facts.live, facts.peak) == (2, 3, 20, 30)
    del y


def test_a_recorder_that_has_not_begun_has_nothing_to_leave(depth):
    recorder = Recorder(UNLIMITED)
    assert recorder.abandon() is None
    with pytest.raises(InvalidArgument, match="in the thread that began it"):
        recorder.leave()


def test_a_recording_ends_once(depth):
    recorder = Recorder(UNLIMITED)
    recorder.enter()
    recorder.leave()
    assert recorder.abandon() is None


def test_only_the_thread_that_began_it_ends_a_recording(depth):
    recorder, found = Recorder(UNLIMITED), []
    recorder.enter()
    thread = threading.Thread(target=lambda: found.append(recorder.abandon()))
    thread.start()
    thread.join()
    assert found == [None]
    assert recorder.abandon().allocations == 0


def test_a_run_takes_its_blocks_from_its_slots_in_order(depth, replay):
    assert replay.enter(replay.number, 0) == 0
    x, y = torch.empty(64, dtype=torch.uint8), torch.empty(64, dtype=torch.uint8)
    del x
    assert replay.leave(0, 1) == 0
    facts = replay.facts()
    assert (facts.hits, facts.kept, facts.runs, facts.regions) == (1, 1, 1, 1)
    del y


def test_leaving_says_which_kinds_of_misses_there_were(depth, replay):
    replay.enter(replay.number, 0)
    blocks = [torch.empty(1000, dtype=torch.uint8) for _ in range(3)]
    outcome = replay.leave(0, 1)
    # Larger than its slot; more than there are slots, which is to stray, too.
    assert outcome == 1 | 1 << 2 | STRAYED
    del blocks


class TestOrders:
    """Slots for runs that allocate otherwise, in the same plan."""

    def test_a_run_that_strays_is_told_which_order_has_as_many_allocations(self, depth, replay):
        assert replay.add([(0, 64, 0)]) == 1
        replay.enter(replay.number, 0)
        torch.empty(64, dtype=torch.uint8)
        outcome = replay.leave(0, 1)
        assert (outcome & STRAYED, alike(outcome)) == (STRAYED, 1)
        replay.enter(replay.number, 1)
        outcome = replay.leave(0, 1)
        assert (outcome & STRAYED, alike(outcome)) == (STRAYED, None)

    def test_a_run_that_fails_does_not_stray(self, depth, replay):
        replay.enter(replay.number, 0)
        assert replay.leave(0, 0) == 0

    def test_a_run_takes_its_blocks_from_the_slots_of_its_order(self, depth, replay):
        assert replay.add([(0, 64, 1), (0, 64, 0), (0, 64, 0)]) == 1
        replay.enter(replay.number, 1)
        kept = torch.empty(64, dtype=torch.uint8)
        for _ in range(2):
            torch.empty(64, dtype=torch.uint8)
        assert replay.leave(0, 1) == 0
        facts = replay.facts()
        assert (facts.hits, facts.kept, facts.displaced, facts.orders) == (2, 1, 0, 2)
        assert facts.held == 0
        del kept

    def test_what_has_no_room_in_the_plan_is_not_added(self, replay):
        assert replay.add([(64, 64, 0)]) is None  # behind the end of its arena
        assert replay.add([(0, 64, 2)]) is None  # an output for which there is no place
        assert replay.facts().orders == 1

    def test_so_many_there_may_be(self, replay):
        found = [replay.add([(0, 64, 0)] * count) for count in range(20)]
        assert found == [*range(1, 16), *[None] * 5]
        assert replay.facts().orders == 16

    def test_an_order_that_there_is_not_is_not_entered(self, depth, replay):
        assert replay.enter(replay.number, 1) == errno.ENOENT

    def test_a_plan_that_has_ended_gets_none(self):
        replay = Replay(SLOTS, 1, 128)
        replay.release()
        assert replay.add(SLOTS) is None


def test_what_was_entered_within_and_not_left_ends_too(depth, replay):
    replay.enter(replay.number, 0)
    Recorder(UNLIMITED).enter()
    replay.enter(replay.number, 0)
    assert depth() == 3
    assert replay.leave(0, 1) == STRAYED
    assert replay.facts().runs == 2
    assert replay.facts().open == 0


def test_a_run_is_not_left_twice_nor_as_a_recording(depth, replay):
    assert replay.leave(0, 1) == -errno.EPERM
    recorder = Recorder(UNLIMITED)
    recorder.enter()
    assert replay.leave(0, 1) == -errno.EPERM
    recorder.abandon()


def test_so_many_may_be_within_one_another(depth, replay):
    while not (code := replay.enter(replay.number, 0)):
        pass
    with pytest.raises(InvalidArgument, match="too many"):
        check(code)
    assert depth() == 32
    replay.leave(0, 0)


def test_released_it_has_no_facts_and_is_not_entered(depth):
    replay = Replay(SLOTS, 1, 128)
    replay.release()
    replay.release()
    assert replay.facts() is None
    with pytest.raises(InvalidArgument, match="bind its plan again"):
        check(replay.enter(replay.number, 0))


def test_an_arena_beyond_all_addresses_leaves_its_runs_to_the_heap(depth):
    replay = Replay([(0, 1 << 59, 0)], 0, 1 << 59)
    assert replay.enter(replay.number, 0) == 0
    torch.empty(10)
    assert replay.leave(0, 1) == 1 << 3
    replay.release()


def test_no_room_says_what_to_do():
    with pytest.raises(LimitReached, match="lower the bounds"):
        check(errno.ENOMEM)
