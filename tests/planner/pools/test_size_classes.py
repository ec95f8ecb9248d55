from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy.errors import InvalidArgument
from onecopy.planner.pools.size_classes import SizeClasses


def test_classes_are_powers_of_two() -> None:
    pool = SizeClasses(alignment=1)
    sizes = [1, 2, 3, 4, 5, 1024, 1025]
    assert [pool.size_class(size) for size in sizes] == [1, 2, 4, 4, 8, 1024, 2048]


def test_classes_may_be_finer() -> None:
    pool = SizeClasses(steps=4, alignment=1)
    sizes = [1024, 1025, 1281, 1537, 2047, 2048, 2049]
    assert [pool.size_class(s) for s in sizes] == [1024, 1280, 1536, 1792, 2048, 2048, 2560]


@given(st.integers(1, 1 << 40), st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 64, 4096]))
def test_a_class_wastes_at_most_its_step(nbytes: int, steps: int, alignment: int) -> None:
    granted = SizeClasses(steps=steps, alignment=alignment).size_class(nbytes)
    assert granted % alignment == 0
    assert nbytes <= granted <= nbytes + max(nbytes // steps, alignment)


def test_a_freed_block_waits_for_its_class_until_it_is_trimmed() -> None:
    pool = SizeClasses()
    first = pool.allocate(1000)
    pool.free(first)
    assert pool.allocate(2000).offset != first.offset
    assert pool.allocate(600).offset == first.offset
    pool.free(pool.allocate(5000))
    assert pool.stats.committed == 1024 + 2048 + 8192
    pool.trim()
    assert pool.stats.committed == 1024 + 2048


def test_a_number_of_steps_is_a_power_of_two() -> None:
    with pytest.raises(InvalidArgument, match="steps"):
        SizeClasses(steps=3)
