"""Changes as the code-review bot writes them into a prompt."""

from __future__ import annotations

from onecopy.demo.agent.changes import data_of, of_files, parse
from onecopy.demo.agent.github.history import ChangedFile

TEXT = """Title: Faster parsing
Description: It is
--- not a file
--- file: src/new.py (was src/old.py), renamed
@@ def parse(text)
     3  def parse(text):
     4 -    return slow(text)
     4 +    return fast(text)
       -    # gone
--- file: b.py, added
@@
     1 +class Reader:
     2 +    def read(self): ...
--- file: src/new.py (was src/old.py), renamed
@@
    90 +def late(): ...
"""


def test_files_hunks_and_lines_are_read() -> None:
    change = parse(TEXT)
    assert change.title == "Faster parsing"
    assert [(each.path, each.was, each.status) for each in change.files] == [
        ("src/new.py", "src/old.py", "renamed"),
        ("b.py", "", "added"),
    ]
    first = change.files[0]
    assert [hunk.section for hunk in first.hunks] == ["def parse(text)", ""]
    assert [(each.kind, each.number, each.text) for each in first.hunks[0].lines] == [
        (" ", 3, "def parse(text):"),
        ("-", 4, "    return slow(text)"),
        ("+", 4, "    return fast(text)"),
        ("-", 0, "    # gone"),
    ]
    assert first.defined("+") == ["late"]
    assert change.files[1].defined("+") == ["Reader", "read"]
    assert change.size == (4, 2)


def test_only_what_stands_between_the_words_is_data() -> None:
    assert data_of("before\nDATA ab12\na\nDATA other\nb\nDATA ab12\nafter") == "a\nDATA other\nb"
    assert data_of("no data") == "no data"


def test_files_of_a_diff_are_a_change_too() -> None:
    patch = "@@ -4,2 +4,2 @@ def f():\n a\n-b\n+c"
    files = [
        ChangedFile("new.py", "renamed", 1, 1, patch, "", "old.py"),
        ChangedFile("a.png", "added", 0, 0, None, ""),
    ]
    change = of_files(files, "t")
    text = "--- file: new.py (was old.py), renamed\n@@ def f():\n     4  a\n     5 -b\n     5 +c"
    assert change.files[0] == parse(text).files[0]
    assert (change.title, change.size, change.files[1].hunks) == ("t", (1, 1), [])
