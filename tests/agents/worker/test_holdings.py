"""What a run holds of WASI."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecopy.agents.worker import holdings
from onecopy.agents.worker.holdings import Holdings


@pytest.fixture
def lines():
    return []


@pytest.fixture
def held(lines):
    return Holdings(lambda *line: lines.append(line))


def test_lines_are_logged_when_they_are_finished(held, lines):
    held.written(1, b"one\ntw")
    held.written(2, b"wrong\n")
    held.written(1, b"o\n")
    held.written(2, b"unfinished")
    assert lines == [("info", "one"), ("warning", "wrong"), ("info", "two")]
    held.flush()
    held.flush()
    assert lines[3:] == [("warning", "unfinished")]


@settings(deadline=None)
@given(
    st.lists(
        st.text(
            st.characters(exclude_characters="\n", exclude_categories=["Cs"]),
            min_size=1,
            max_size=20,
        )
    )
)
def test_lines_do_not_depend_on_how_they_are_written(texts):
    lines = []
    held = Holdings(lambda *line: lines.append(line))
    for byte in "".join(f"{text}\n" for text in texts).encode():
        held.written(1, bytes([byte]))
    assert lines == [("info", text) for text in texts]


def test_a_line_without_an_end_is_logged_in_parts(held, lines):
    held.written(1, b"x" * 10_000)
    assert lines == [("info", "x" * 10_000)]


def test_bytes_that_are_no_text_are_logged_all_the_same(held, lines):
    held.written(2, b"\xff\n\n")
    assert lines == [("warning", "\ufffd")]
    assert list(held.last_words) == ["\ufffd", ""]


def test_pollables_are_known_until_they_are_dropped(held):
    first, second = held.new_pollable(5), held.new_pollable(7)
    assert (held.due(first), held.due(second)) == (5, 7)
    held.dropped(first)
    held.dropped(first)
    with pytest.raises(KeyError):
        held.due(first)


def test_there_is_an_end_to_pollables(held, monkeypatch):
    monkeypatch.setattr(holdings, "_MOST", 2)
    numbers = [held.new_pollable(0) for _ in range(3)]
    assert numbers[2] is None
    held.dropped(numbers[0])
    assert held.new_pollable(0) not in numbers
