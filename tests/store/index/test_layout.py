from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onecopy.store.index.layout import SLOT_LIMIT, SLOT_SIZE, geometry, hash_of


@given(st.integers(1, SLOT_LIMIT))
def test_there_are_at_least_four_buckets_for_each_slot(slots: int) -> None:
    buckets, first, size = geometry(slots)
    assert buckets & (buckets - 1) == 0
    assert 4 * slots <= buckets < 8 * slots
    assert size - first == slots * SLOT_SIZE


def test_hashes_depend_on_the_seed() -> None:
    assert hash_of(b"name", bytes(16)) != hash_of(b"name", bytes(15) + b"x")
    assert 0 <= hash_of(b"name", bytes(16)) < 1 << 64
