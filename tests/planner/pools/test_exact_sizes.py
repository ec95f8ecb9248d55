from __future__ import annotations

from onecopy.planner.pools.exact_sizes import ExactSizes


def test_only_a_block_of_the_same_size_is_used_again() -> None:
    pool = ExactSizes(alignment=1)
    block = pool.allocate(1000)
    pool.free(block)
    assert pool.allocate(999).offset == 1000
    assert pool.allocate(1000).offset == block.offset


def test_what_waits_is_given_back_when_the_capacity_is_reached() -> None:
    pool = ExactSizes(capacity=1000, alignment=1)
    pool.free(pool.allocate(600))
    assert pool.allocate(700).offset == 0
