from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onecopy.tensors.codec import Memory
from onecopy.tensors.extents import merge

MEMORIES = st.lists(
    st.builds(
        lambda address, count, itemsize: Memory(
            address * itemsize, count * itemsize, None, itemsize
        ),
        st.integers(1, 60),
        st.integers(1, 20),
        st.sampled_from([1, 2, 4, 8, 16]),
    ),
    max_size=8,
)


@given(MEMORIES)
def test_extents_cover_all_memory_and_do_not_overlap(memories: list[Memory]) -> None:
    extents = merge(memories)
    covered = [set(range(e.start, e.start + e.nbytes)) for e in extents]
    assert sum(map(len, covered)) == len(set().union(*covered)) if covered else True
    everything = {b for m in memories for b in range(m.address, m.address + m.nbytes)}
    assert set().union(*covered) == everything


@given(MEMORIES)
def test_every_memory_is_in_the_extent_that_says_so(memories: list[Memory]) -> None:
    extents = merge(memories)
    assert sorted(i for e in extents for i in e.members) == list(range(len(memories)))
    for extent in extents:
        for index in extent.members:
            memory = memories[index]
            assert extent.start <= memory.address
            assert memory.address + memory.nbytes <= extent.start + extent.nbytes


@given(MEMORIES)
def test_members_stay_aligned_to_their_element_size(memories: list[Memory]) -> None:
    for extent in merge(memories):
        for index in extent.members:
            memory = memories[index]
            assert (64 + extent.lead + memory.address - extent.start) % memory.itemsize == 0


@given(MEMORIES)
def test_extents_come_in_the_order_of_their_first_members(memories: list[Memory]) -> None:
    firsts = [extent.members[0] for extent in merge(memories)]
    assert firsts == sorted(firsts)


def test_memory_that_only_touches_is_not_merged() -> None:
    assert len(merge([Memory(0, 8, None), Memory(8, 8, None)])) == 2
