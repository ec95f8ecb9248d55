"""Parts of a diff: together they are all of it, and each is within its budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from review_bot import prompt
from review_bot.diff import FileDiff, Hunk, Line

LINES = st.lists(
    st.builds(Line, st.just("+"), st.none(), st.integers(1, 9999), st.text("ab \n", max_size=300)),
    min_size=1,
    max_size=30,
).map(tuple)
FILES = st.lists(
    st.builds(
        FileDiff,
        st.sampled_from(["a.py", "b/c.py"]),
        hunks=st.lists(st.builds(Hunk, LINES), min_size=1, max_size=4).map(tuple),
    ),
    max_size=5,
)


def lines(files):
    return [(each.path, line) for each in files for hunk in each.hunks for line in hunk.lines]


@given(FILES, st.integers(200, 3000))
def test_parts_have_every_line_once_and_fit(files, budget):
    parts = list(prompt.parts(files, budget))
    assert lines(each for part in parts for each in part) == lines(files)
    for part in parts:
        assert sum(prompt.tokens(prompt.shown(each)) for each in part) <= budget + 150


def test_data_stands_between_lines_that_nobody_can_foresee():
    (first, text), (second, _) = prompt.enclosed("DATA x"), prompt.enclosed("DATA x")
    assert first != second
    assert text == f"DATA {first}\nDATA x\nDATA {first}"


def test_a_path_that_would_look_like_a_line_is_quoted():
    shown = prompt.shown(FileDiff("a\n--- file: b"))
    assert shown.count("\n") == 0
