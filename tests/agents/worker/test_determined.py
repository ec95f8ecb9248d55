"""Clock and randomness of a run: from its start and its host's answers only."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.agents.worker.determined import Clock, Stream

SIZES = st.lists(st.integers(0, 10_000), max_size=8)
SECOND = 1_000_000_000


@settings(deadline=None)
@given(st.binary(max_size=64), SIZES, SIZES)
def test_a_stream_does_not_depend_on_how_it_is_read(seed, sizes, others):
    def read(parts):
        stream = Stream(seed)
        return b"".join(stream.take(size) for size in parts)

    one, other = read(sizes), read(others)
    least = min(len(one), len(other))
    assert len(one) == sum(sizes)
    assert one[:least] == other[:least]


@settings(deadline=None)
@given(st.binary(max_size=64), st.binary(max_size=64))
def test_streams_of_other_seeds_are_others(one, other):
    assert (Stream(one).take(32) == Stream(other).take(32)) == (one == other)


def test_a_stream_has_no_block_twice():
    data = Stream(b"seed").take(1 << 16)
    assert len({data[at : at + 64] for at in range(0, len(data), 64)}) == len(data) // 64


@settings(deadline=None)
@given(st.lists(st.integers(-SECOND, 10 * SECOND)), st.integers(0, SECOND))
def test_a_clock_is_never_set_back(offsets, slept):
    clock = Clock(SECOND)
    for offset in offsets:
        before, monotonic = clock.now_ns, clock.monotonic_ns
        clock.set(SECOND + offset)
        clock.sleep(slept)
        assert clock.now_ns >= before + slept
        assert clock.monotonic_ns - monotonic == clock.now_ns - before


def test_a_clock_stands_still():
    clock = Clock(5 * SECOND)
    assert (clock.now_ns, clock.monotonic_ns) == (clock.now_ns, clock.monotonic_ns)
    assert clock.now_ns == 5 * SECOND
