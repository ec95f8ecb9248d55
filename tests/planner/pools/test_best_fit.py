from __future__ import annotations

from onecopy.planner.pools.best_fit import BestFit
from onecopy.planner.pools.memory import Memory
from onecopy.segments.region import PAGE


def test_sizes_that_drift_use_the_same_arena() -> None:
    pool = BestFit()
    for size in range(1000, 2000, 7):
        block = pool.allocate(size)
        assert block.offset == 0
        pool.free(block)
    assert pool.stats.reserved == 2048


def test_trimming_gives_pages_between_blocks_back() -> None:
    with Memory(1 << 20) as memory:
        pool = BestFit(memory=memory)
        blocks = [pool.allocate(4 * PAGE) for _ in range(4)]
        for block in blocks:
            block.view()[:] = b"x" * block.nbytes
        pool.free(blocks[1])
        pool.free(blocks[3])
        assert pool.stats.resident == 16 * PAGE
        pool.trim()
        stats = pool.stats
        assert stats.resident == 8 * PAGE
        assert stats.reserved == 12 * PAGE
        assert blocks[2].view()[:1] == b"x"
