"""The segments that windows of sequences lie in: open once, and as long as somebody shows them."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from onecopy import WindowRefused
from onecopy.guests.batch.lender import Lender, checked
from tests.conftest import open_files
from tests.guests.segment import Segment


@pytest.fixture
def segment() -> Iterator[Segment]:
    """Two pages."""
    with Segment(8192) as segment:
        yield segment


def shown(*values: object):
    windows = {f"w{i}": each for i, each in enumerate(values)}
    return checked(windows, copy=False, reserved=())


def test_a_segment_is_open_once_and_closed_with_its_last_use(segment: Segment) -> None:
    lender = Lender()
    before = open_files()
    first = lender.take(shown(segment.readable, segment.readable))
    second = lender.take(shown(segment.readable))
    assert {each.segment for each in (*first, *second)} == {1}
    assert open_files() == before + 1
    assert lender.give_back(each.segment for each in first) == []
    assert lender.give_back(each.segment for each in second) == [1]
    assert open_files() == before


def test_who_may_only_read_does_not_get_the_descriptor_of_who_may_write(segment: Segment) -> None:
    lender = Lender()
    windows = lender.take(shown(segment.readable, segment.writable))
    assert [each.segment for each in windows] == [1, 2]
    assert [each.fields.writable for each in windows] == [False, True]
    assert lender.give_back([1, 2]) == [1, 2]


def test_what_is_held_stays_open_until_it_is_given_back(segment: Segment) -> None:
    lender = Lender()
    (window,) = lender.take(shown(segment.readable))
    held = lender.hold([window.segment, 99])
    assert lender.give_back([window.segment]) == []
    os.fstat(held[window.segment])
    assert lender.give_back(held) == [window.segment]
    # Numbers are never used again: a worker may not have heard yet that a segment is gone.
    assert lender.take(shown(segment.readable))[0].segment == 2
    lender.give_back([2])


def test_what_is_no_window_is_refused_and_nothing_stays_open(segment: Segment) -> None:
    before = open_files()
    value = segment.readable
    for windows, text in (
        ({"vocab": value}, "choose another name"),
        ({str(i): value for i in range(24)}, "at most 23"),
        ({"x": value, "": value}, "1 to 39 bytes"),
        ({"x": value, "y": b"bytes of this process"}, "own memory"),
    ):
        with pytest.raises(WindowRefused, match=text):
            checked(windows, copy=False, reserved=("vocab",))
    assert open_files() == before
