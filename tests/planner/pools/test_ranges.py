from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from onecopy.planner.pools.ranges import Ranges

UNLIMITED = 1 << 40


def test_the_smallest_free_range_that_is_large_enough_is_taken() -> None:
    ranges = Ranges(UNLIMITED)
    starts = [ranges.take(size) for size in (10, 1, 5, 1, 7, 1)]
    for start, size in zip(starts[::2], (10, 5, 7), strict=True):
        ranges.give(start or 0, size)
    assert list(ranges) == [(0, 10), (11, 16), (17, 24)]
    assert ranges.take(6) == 17
    assert ranges.take(5) == 11
    assert ranges.take(5) == 0
    assert ranges.take(6) == 25


def test_a_free_range_at_the_end_grows() -> None:
    ranges = Ranges(UNLIMITED)
    assert ranges.take(10) == 0
    assert ranges.take(10) == 10
    ranges.give(10, 10)
    assert ranges.take(25) == 10
    assert ranges.end == 35


def test_neighbours_become_one_from_both_sides() -> None:
    ranges = Ranges(UNLIMITED)
    for start in (0, 10, 20):
        assert ranges.take(10) == start
    ranges.give(0, 10)
    ranges.give(20, 10)
    assert list(ranges) == [(0, 10), (20, 30)]
    ranges.give(10, 10)
    assert list(ranges) == [(0, 30)]
    ranges.shrink()
    assert ranges.end == 0
    ranges.shrink()
    assert list(ranges) == []


def test_it_does_not_grow_beyond_its_capacity() -> None:
    ranges = Ranges(100)
    assert ranges.take(60) == 0
    assert ranges.take(41) is None
    assert ranges.take(40) == 60


@given(st.lists(st.tuples(st.integers(1, 20), st.booleans()), max_size=60), st.randoms())
def test_free_and_taken_ranges_tile_the_addresses(steps, random) -> None:
    ranges, taken = Ranges(200), []
    for size, giving in steps:
        if giving and taken:
            ranges.give(*taken.pop(random.randrange(len(taken))))
        elif (start := ranges.take(size)) is not None:
            taken.append((start, size))
    free = list(ranges)
    pieces = sorted([(start, start + size) for start, size in taken] + free)
    assert [0, *[end for _, end in pieces]] == [*[start for start, _ in pieces], ranges.end]
    assert all(a[1] < b[0] for a, b in itertools.pairwise(free)), "neighbours coalesced"
