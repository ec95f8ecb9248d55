from __future__ import annotations

from typing import Any

import pytest

from onecopy import InvalidProblem
from onecopy.planner import Buffer


def test_it_lives_from_its_start_until_just_before_its_end() -> None:
    assert Buffer("a", 1, 0, 3).meets(Buffer("b", 1, 2, 4))
    assert not Buffer("a", 1, 0, 2).meets(Buffer("b", 1, 2, 4))


def test_it_does_not_live_in_its_gaps() -> None:
    buffer = Buffer("a", 1, 0, 10, gaps=((2, 4), (4, 6), (8, 10)))
    assert buffer.intervals == ((0, 2), (6, 8))
    assert buffer.duration == 4
    assert not buffer.meets(Buffer("b", 1, 3, 6))
    assert buffer.meets(Buffer("b", 1, 3, 7))


def test_gaps_of_both_count() -> None:
    one = Buffer("a", 1, 0, 6, gaps=((1, 3),))
    other = Buffer("b", 1, 1, 8, gaps=((3, 6),))
    assert not one.meets(other)
    assert not other.meets(one)


def test_it_may_have_no_bytes() -> None:
    assert Buffer("a", 0, 0, 1).size == 0


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ((-1, 0, 1), "size -1"),
        ((1, -1, 1), "start -1"),
        ((1, 3, 3), "must end after"),
        ((1, 3, 2), "must end after"),
        ((1, 0, 1, 0), "alignment 0"),
        ((2**63, 0, 1), "above 2\\*\\*60"),
        ((1, 0, 1, 4, 6), "no multiple of its alignment 4"),
        ((1, 0, 1, 4, -4), "fixed at offset -4"),
        ((1, 0, 9, 1, None, ((2, 2),)), "a gap \\[2, 2\\)"),
        ((1, 0, 9, 1, None, ((5, 6), (2, 3))), "in order"),
        ((1, 0, 9, 1, None, ((2, 5), (4, 6))), "not overlap"),
        ((1, 0, 9, 1, None, ((8, 10),)), "lie in its lifetime"),
        ((1, 0, 9, 1, None, ((0, 4), (4, 9))), "leave nothing"),
    ],
)
def test_numbers_that_make_no_sense_are_refused_with_its_name(numbers: tuple, text: str) -> None:
    with pytest.raises(InvalidProblem, match=text) as caught:
        Buffer("odd", *numbers)
    assert str(caught.value).startswith("buffer 'odd' ")


def test_numbers_of_numpy_become_pythons() -> None:
    np = pytest.importorskip("numpy")
    made = Buffer("a", np.int64(4), np.int32(0), np.uint8(9), np.int64(2), np.int64(6), [[2, 3]])
    assert made == Buffer("a", 4, 0, 9, 2, 6, ((2, 3),))
    assert all(type(each) is int for each in (made.size, made.start, made.end, made.offset))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("a", 1.5, 0, 1), "its size is a whole number, not 1.5"),
        (("a", 1, "0", 1), "its start is a whole number, not '0'"),
        (("a", 1, 0, None), "its end is a whole number, not None"),
        (("a", 1, 0, 1, True), "its alignment is a whole number, not True"),
        (("a", 1, 0, 1, 1, 0.0), "its offset is a whole number, not 0.0"),
        (("a", 1, 0, 9, 1, None, (3,)), r"has gaps \(3,\); write"),
        (("a", 1, 0, 9, 1, None, ((1, 2, 3),)), "has gaps"),
        (("a", 1, 0, 9, 1, None, ((1.5, 2),)), "has gaps"),
        ((5, 1, 0, 1), "buffer 5 has a name that is no text"),
    ],
)
def test_what_is_no_number_is_refused_by_its_field(arguments: Any, text: str) -> None:
    with pytest.raises(InvalidProblem, match=text):
        Buffer(*arguments)
