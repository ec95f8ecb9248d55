"""What is kept of a past, and what is found in it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecopy import InvalidArgument
from onecopy.guests.decoding.past import Call, Past, Saved
from onecopy.guests.instance.snapshots import State


def saved(number: int) -> Saved:
    return Saved(State((), (number,), 100, 10), ())


@given(counts=st.lists(st.integers(0, 4), max_size=30), reach=st.integers(1, 10))
def test_all_within_reach_is_found_and_no_more_is_kept_than_that_takes(counts, reach):
    past, position = Past(10_000, reach), 0
    calls = []
    for count in counts:
        calls.append(Call(position, tuple(range(count)), len(calls), saved(len(calls))))
        past.add(calls[-1])
        position += count
    assert len(past._calls) <= reach + 1
    for back in range(min(reach, position) + 1):
        target = position - back
        expected = [each for each in calls if each.position <= target]
        if expected:
            assert past.copy().back(target) is expected[-1]


def test_a_call_that_was_gone_back_to_is_forgotten_with_those_after_it():
    past = Past(10_000, 9)
    for position in range(4):
        past.add(Call(position, (7,), position, saved(position)))
    assert past.back(2).steps == 2
    assert past.last() == saved(1)
    past.clear()
    assert past.last() is None
    with pytest.raises(InvalidArgument, match="keep"):
        past.back(0)


def test_a_copy_goes_its_own_way():
    past = Past(10_000, 9)
    past.add(Call(0, (7,), 0, saved(0)))
    other = past.copy()
    other.add(Call(1, (7,), 1, saved(1)))
    assert (past.last(), other.last()) == (saved(0), saved(1))


def test_states_that_are_large_are_forgotten_sooner_but_for_the_last():
    past = Past(130, 9)
    for position in range(6):
        past.add(Call(position, (7,), position, saved(position)))
    assert [each.position for each in past._calls] == [2, 3, 4, 5]  # 100 + 3 * 10
    past.limit = 0
    past.add(Call(6, (7,), 6, saved(6)))
    assert [each.position for each in past._calls] == [6]
