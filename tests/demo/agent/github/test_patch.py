"""Patches are read line by line; what is read is what was made."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onecopy.demo.agent.github.history import Versions
from onecopy.demo.agent.github.patch import hunks, places

PATCH = """\
@@ -1,2 +1,2 @@
 a
-b
+c
\\ No newline at end of file
@@ -9 +9,2 @@ def f():
+@@ -1 +1 @@
 d"""

texts = st.lists(st.sampled_from(["one", "two", "", "@@ -1 +1 @@", "+", "-", " ", "\\ a"]))


def test_lines_have_the_numbers_of_their_sides() -> None:
    first, second = hunks(PATCH)
    assert [(each.kind, each.old, each.new, each.text) for each in first.lines] == [
        (" ", 1, 1, "a"),
        ("-", 2, 0, "b"),
        ("+", 0, 2, "c"),
    ]
    assert (first.section, second.section) == ("", "def f():")
    assert second.lines[0].text == "@@ -1 +1 @@"
    assert (second.lines[1].old, second.lines[1].new) == (9, 10)


def test_comments_are_possible_where_it_shows_lines() -> None:
    assert list(places(PATCH))[:4] == [("RIGHT", 1), ("LEFT", 1), ("LEFT", 2), ("RIGHT", 2)]
    assert list(places(None)) == []
    assert hunks("") == []


@given(old=texts, new=texts)
def test_the_lines_are_those_of_the_files(old: list[str], new: list[str]) -> None:
    versions = Versions()
    first = versions.add({"a": "".join(f"{each}\n" for each in old)})
    second = versions.add({"a": "".join(f"{each}\n" for each in new)}, parent=first)
    for file in versions.files(first, second):
        lines = [line for hunk in hunks(file.patch) for line in hunk.lines]
        assert all(new[line.new - 1] == line.text for line in lines if line.new)
        assert all(old[line.old - 1] == line.text for line in lines if line.old)
        assert sum(line.kind == "+" for line in lines) == file.additions
        assert sum(line.kind == "-" for line in lines) == file.deletions
