"""Where a key is in a manifest, as a person would find it."""

from __future__ import annotations

import pytest

from onecopy.agents.manifest.lines import line_of

TEXT = '''\
top = 1
"quoted.key" = 2
a.b.c = 3

[table]
key = "x"   # key = no
text = """
key2 = no
[other]
"""
key2 = 4
list = [
  "a",
  "b",
]

[[items]]
name = 1
[items.inner]
deep = 1

[[items]]
name = 2
  [[items.subs]]
  x = 1
  [[items.subs]]
  x = 2
  [items.subs."a b"]
  y = 3

[ table . spaced ]
z = { in = 1 }
'''


@pytest.mark.parametrize(
    ("steps", "line"),
    [
        (["top"], 1),
        (["quoted.key"], 2),
        (["a", "b", "c"], 3),
        (["table"], 5),
        (["table", "key"], 6),
        (["table", "key2"], 11),
        (["table", "list"], 12),
        (["table", "list", 1], 12),
        (["table", "absent"], 5),
        (["items", 0], 17),
        (["items", 0, "name"], 18),
        (["items", 0, "inner", "deep"], 20),
        (["items", 1, "name"], 23),
        (["items", 1, "subs", 0, "x"], 25),
        (["items", 1, "subs", 1, "x"], 27),
        (["items", 1, "subs", 1, "a b", "y"], 29),
        (["items", 1, "subs", 1, "absent"], 26),
        (["table", "spaced", "z", "in"], 32),
        (["absent"], None),
        ([], None),
    ],
)
def test_a_key_is_found_or_what_it_would_be_in(steps: list, line: int | None):
    assert line_of(TEXT, steps) == line


@pytest.mark.parametrize("text", ["", "[", "[[", "=", '"""', "a = '''", "[[a]]\n[a]\n[[a.b]]"])
def test_no_text_is_too_odd(text: str):
    assert line_of(text, ["a", "b"]) in (None, 1, 2, 3)
