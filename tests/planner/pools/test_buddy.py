from __future__ import annotations

from onecopy.planner.pools.buddy import Buddy


def test_halves_are_split_and_merge_again() -> None:
    pool = Buddy(alignment=1)
    pool.free(pool.allocate(1024))
    blocks = [pool.allocate(size) for size in (100, 200, 300, 100)]
    assert [block.offset for block in blocks] == [0, 256, 512, 128]
    assert [block.granted for block in blocks] == [128, 256, 512, 128]
    for block in blocks:
        pool.free(block)
    assert pool.allocate(1024).offset == 0
    assert pool.stats.reserved == 1024


def test_it_grows_by_what_is_needed() -> None:
    pool = Buddy(alignment=1)
    for _ in range(5):
        pool.allocate(1000)
    assert pool.stats.reserved == 5 * 1024


def test_a_free_end_grows_into_a_larger_block() -> None:
    pool = Buddy(alignment=1)
    for size in (1000, 2000, 4000, 8000):
        block = pool.allocate(size)
        assert block.offset == 0
        pool.free(block)
    assert pool.stats.reserved == 8192


def test_a_capacity_that_is_no_power_of_two_is_used_to_its_end() -> None:
    pool = Buddy(capacity=7 * 1024, alignment=1)
    assert [pool.allocate(1024).offset for _ in range(7)] == [n * 1024 for n in range(7)]
