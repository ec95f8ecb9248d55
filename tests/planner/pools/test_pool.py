"""What holds for every pool: one state machine over all of them, in addresses and in memory."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from onecopy.errors import BudgetExceeded, InvalidArgument, StoreClosed
from onecopy.planner.pools import (
    BestFit,
    Block,
    Bound,
    Buddy,
    ExactSizes,
    Memory,
    Pool,
    SizeClasses,
)

LARGEST = 20_000
KINDS: dict[str, Callable[..., Pool]] = {
    "best fit": BestFit,
    "buddy": Buddy,
    "exact sizes": ExactSizes,
    "powers of two": SizeClasses,
    "four steps": lambda **options: SizeClasses(steps=4, **options),
    "bound": lambda **options: Bound(LARGEST, **options),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


class PoolMachine(RuleBasedStateMachine):
    """Allocate, free, trim; each block is filled with a byte of its own."""

    pool: Pool
    memory: Memory

    def __init__(self) -> None:
        super().__init__()
        self.live: list[tuple[Block, int]] = []
        self.count = 0

    @initialize(kind=st.sampled_from(sorted(KINDS)), capacity=st.sampled_from([100_000, 1 << 20]))
    def start(self, kind: str, capacity: int) -> None:
        self.memory = Memory(1 << 20)
        self.pool = KINDS[kind](capacity=capacity, memory=self.memory)

    @rule(nbytes=st.one_of(st.integers(0, 300), st.integers(0, LARGEST)))
    def allocate(self, nbytes: int) -> None:
        before = self.pool.stats
        try:
            block = self.pool.allocate(nbytes)
        except MemoryError:
            assert before.in_use + nbytes > self.pool.capacity // 8 or self.out_of_slots()
            assert self.pool.stats.in_use == before.in_use
            return
        self.count = self.count % 255 + 1
        block.view()[:] = bytes([self.count]) * nbytes
        self.live.append((block, self.count))

    def out_of_slots(self) -> bool:
        """Whether each block takes the bound, and there is room for no more of them."""
        return isinstance(self.pool, Bound) and len(self.live) == self.pool.capacity // 20_480

    @rule(data=st.data())
    def free(self, data: st.DataObject) -> None:
        if self.live:
            at = data.draw(st.integers(0, len(self.live) - 1))
            self.pool.free(self.live.pop(at)[0])

    @rule()
    def trim(self) -> None:
        self.pool.trim()

    @rule()
    def free_all(self) -> None:
        """All that was freed comes back: in one piece, where pieces can be joined."""
        while self.live:
            self.pool.free(self.live.pop()[0])
        self.pool.trim()
        stats = self.pool.stats
        assert (stats.reserved, stats.committed, stats.in_use, stats.resident) == (0, 0, 0, 0)

    @invariant()
    def blocks_do_not_overlap(self) -> None:
        spans = sorted((each.offset, each.offset + each.granted) for each, _ in self.live)
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))
        if spans:
            assert spans[-1][1] <= min(self.pool.capacity, self.pool.stats.reserved)
            assert all(start % self.pool.alignment == 0 for start, _ in spans)

    @invariant()
    def what_was_written_is_still_there(self) -> None:
        for block, byte in self.live:
            assert block.view() == bytes([byte]) * block.nbytes

    @invariant()
    def the_books_add_up(self) -> None:
        if not hasattr(self, "pool"):
            return
        stats = self.pool.stats
        assert stats.blocks == len(self.live)
        assert stats.in_use == sum(block.nbytes for block, _ in self.live)
        assert stats.in_use <= stats.committed <= stats.reserved <= self.pool.capacity
        assert stats.peak_committed >= stats.committed
        assert stats.peak_in_use >= stats.in_use
        assert 0 <= stats.fragmentation <= 1

    def teardown(self) -> None:
        self.memory.close()


TestPoolMachine = PoolMachine.TestCase
TestPoolMachine.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


@every_kind
def test_a_full_pool_refuses_and_says_what_to_do(make: Callable[..., Pool]) -> None:
    pool = make(capacity=1 << 15)
    with pytest.raises(BudgetExceeded, match=r"raise"):
        for _ in range(1000):
            pool.allocate(10_000)
    assert issubclass(BudgetExceeded, MemoryError)


@every_kind
def test_what_a_refused_block_made_a_pool_commit_counts_in_its_peak(
    make: Callable[..., Pool],
) -> None:
    pool = make(capacity=100_000)
    with pytest.raises(BudgetExceeded):
        for nbytes in itertools.chain([1] * 6, itertools.cycle([8_193, 16_385])):
            pool.allocate(nbytes)
    assert pool.stats.peak_committed >= pool.stats.committed


@every_kind
def test_a_block_is_freed_once_and_by_its_own_pool(make: Callable[..., Pool]) -> None:
    pool, other = make(), make()
    block = pool.allocate(100)
    other.allocate(100)
    with pytest.raises(InvalidArgument, match="another's"):
        other.free(block)
    pool.free(block)
    with pytest.raises(InvalidArgument, match="freed before"):
        pool.free(block)


@every_kind
@pytest.mark.parametrize("nbytes", [-1, 1.5, "10"])
def test_what_is_no_size_is_refused(make: Callable[..., Pool], nbytes: Any) -> None:
    with pytest.raises(InvalidArgument, match="number of bytes"):
        make().allocate(nbytes)


@every_kind
def test_without_memory_there_are_addresses_only(make: Callable[..., Pool]) -> None:
    pool = make()
    assert pool.stats.resident is None
    with pytest.raises(InvalidArgument, match="memory=Memory"):
        pool.allocate(1).view()


@every_kind
def test_the_capacity_is_used_again_once_it_is_free(make: Callable[..., Pool]) -> None:
    pool = make(capacity=1 << 16)
    for nbytes in (1000, 20_000, 3000, 500, 20_000):
        blocks = []
        with pytest.raises(BudgetExceeded):
            while True:
                blocks.append(pool.allocate(nbytes))
        for block in blocks:
            pool.free(block)
    assert pool.stats.in_use == 0


@every_kind
def test_threads_share_a_pool(make: Callable[..., Pool]) -> None:
    with Memory(1 << 22) as memory:
        pool = make(memory=memory)
        wrong: list[Block] = []

        def work(byte: int) -> None:
            for nbytes in range(1, 200):
                block = pool.allocate(nbytes)
                block.view()[:] = bytes([byte]) * nbytes
                if block.view() != bytes([byte]) * nbytes:
                    wrong.append(block)
                pool.free(block)

        threads = [threading.Thread(target=work, args=(byte,)) for byte in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
        assert pool.stats.in_use == 0


@pytest.mark.parametrize("alignment", [0, -8, 48])
def test_an_alignment_is_a_power_of_two(alignment: int) -> None:
    with pytest.raises(InvalidArgument, match="power of two"):
        BestFit(alignment=alignment)


def test_a_forked_child_may_not_allocate_in_its_parents_memory() -> None:
    with Memory(1 << 16) as memory:
        pool = BestFit(memory=memory)
        block = pool.allocate(8)
        child = os.fork()
        if not child:
            try:
                pool.allocate(8)
            except InvalidArgument:
                block.view()[:] = b"children"  # What it has, it shares.
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert block.view() == b"children"


def test_closed_memory_is_not_used_but_its_views_live_on() -> None:
    memory = Memory("64KiB")
    pool = BestFit(memory=memory)
    view = pool.allocate(100).view()
    memory.close()
    memory.close()
    view[:] = bytes(100)
    with pytest.raises(StoreClosed, match="make another"):
        pool.allocate(1)
