"""Recordings and runs as the C library has them: entered, left, and misused."""

import errno
import threading

import pytest
import torch

from onecopy.errors import InvalidArgument, LimitReached
from onecopy.planner.running.native_modes import (
    ALIVE,
    UNLIMITED,
    Recorder,
    Replay,
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
    assert replay.enter(replay.number) == 0
    x, y = torch.empty(64, dtype=torch.uint8), torch.empty(64, dtype=torch.uint8)
    del x
    assert replay.leave(0, 1) == 0
    facts = replay.facts()
    assert (facts.hits, facts.kept, facts.runs, facts.regions) == (1, 1, 1, 1)
    del y


def test_leaving_says_which_kinds_of_misses_there_were(depth, replay):
    replay.enter(replay.number)
    blocks = [torch.empty(1000, dtype=torch.uint8) for _ in range(3)]
    missed = replay.leave(0, 1)
    assert missed == 1 | 1 << 2  # larger than its slot; more than there are slots
    del blocks


def test_what_was_entered_within_and_not_left_ends_too(depth, replay):
    replay.enter(replay.number)
    Recorder(UNLIMITED).enter()
    replay.enter(replay.number)
    assert depth() == 3
    assert replay.leave(0, 1) == 0
    assert replay.facts().runs == 2
    assert replay.facts().open == 0


def test_a_run_is_not_left_twice_nor_as_a_recording(depth, replay):
    assert replay.leave(0, 1) == -errno.EPERM
    recorder = Recorder(UNLIMITED)
    recorder.enter()
    assert replay.leave(0, 1) == -errno.EPERM
    recorder.abandon()


def test_so_many_may_be_within_one_another(depth, replay):
    while not (code := replay.enter(replay.number)):
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
        check(replay.enter(replay.number))


def test_an_arena_beyond_all_addresses_leaves_its_runs_to_the_heap(depth):
    replay = Replay([(0, 1 << 59, 0)], 0, 1 << 59)
    assert replay.enter(replay.number) == 0
    torch.empty(10)
    assert replay.leave(0, 1) == 1 << 3
    replay.release()


def test_no_room_says_what_to_do():
    with pytest.raises(LimitReached, match="lower the bounds"):
        check(errno.ENOMEM)
