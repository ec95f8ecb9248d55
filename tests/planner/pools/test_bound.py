from __future__ import annotations

import pytest

from onecopy.errors import BudgetExceeded, InvalidArgument
from onecopy.planner.pools.bound import Bound
from onecopy.planner.pools.memory import Memory
from onecopy.segments.region import PAGE


def test_a_slot_commits_the_pages_of_its_actual_size() -> None:
    with Memory(64 << 20) as memory:
        pool = Bound("1MiB", memory=memory)
        blocks = [pool.allocate(10_000) for _ in range(8)]
        for block in blocks:
            block.view()[:] = bytes(10_000)
        stats = pool.stats
        assert stats.reserved == 8 << 20
        assert stats.resident == stats.committed == 8 * 3 * PAGE
        pool.free(blocks[3])
        assert pool.stats.resident == pool.stats.committed == 7 * 3 * PAGE


def test_a_used_slot_does_not_show_the_tail_of_what_was_in_it() -> None:
    with Memory(1 << 20) as memory:
        pool = Bound(50_000, memory=memory)
        block = pool.allocate(50_000)
        block.view()[:] = b"x" * 50_000
        pool.free(block)
        again = pool.allocate(10)
        assert again.offset == block.offset
        assert memory.view(again.offset, 50_000) == bytes(50_000)


def test_more_than_the_bound_is_refused() -> None:
    pool = Bound(1000)
    with pytest.raises(BudgetExceeded, match="raise `bound`"):
        pool.allocate(1001)


def test_plain_memory_commits_the_bound() -> None:
    pool = Bound(1000, page=1)
    pool.allocate(10)
    assert pool.stats.reserved == 1000


def test_real_memory_is_committed_in_the_systems_pages() -> None:
    with Memory(1 << 16) as memory, pytest.raises(InvalidArgument, match="pages"):
        Bound(1000, page=64, memory=memory)


def test_many_free_slots_are_trimmed_at_once() -> None:
    pool = Bound(1000)
    blocks = [pool.allocate(1) for _ in range(50_000)]
    for block in blocks[1:]:
        pool.free(block)
    pool.trim()
    assert pool.stats.reserved == PAGE
    assert pool.allocate(1).offset == PAGE
