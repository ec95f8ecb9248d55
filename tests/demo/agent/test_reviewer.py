"""How remarks are chosen; an embedder that knows equal texts only does for that."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np

from onecopy.demo.agent.changes import parse
from onecopy.demo.agent.remarks import Remark
from onecopy.demo.agent.reviewer import CANDIDATES, EACH, FINDINGS, Finding, Reviewer


class Equal:
    """Texts are near if their letters are the same."""

    name = "equal"

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str]) -> Any:
        self.asked += texts
        rows = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[sum(map(ord, filter(str.isalpha, text))) % 64] = 1
        return rows


def remark(title: str, example: str, **fields: Any) -> Remark:
    given = {"severity": "low", "detail": "d.", "words": "\\w", "unlike": (), **fields}
    return Remark(title=title, examples=(example,), **given)


def review(text: str, *remarks: Remark) -> list[Finding]:
    return asyncio.run(Reviewer(Equal(), remarks).review(parse(text)))


def change(*lines: str, path: str = "a.py", section: str = "") -> str:
    numbered = (f"{number:>6} {line}" for number, line in enumerate(lines, 1))
    return "\n".join([f"--- file: {path}, modified", f"@@ {section}", *numbered])


def test_a_remark_is_made_where_its_example_stands() -> None:
    found = review(change("+abc", " abc", "+xyz", "-abc"), remark("t", "abc"))
    assert [(each.path, each.line.number) for each in found] == [("a.py", 1)]
    assert found[0].to_json()["side"] == "RIGHT"


def test_removed_lines_have_remarks_of_their_own() -> None:
    found = review(change("+cab", "-abc"), remark("t", "abc", side="LEFT"))
    assert [(each.line.number, each.to_json()["side"]) for each in found] == [(2, "LEFT")]


def test_what_is_nearer_to_what_it_is_unlike_is_none() -> None:
    assert review(change("+abc"), remark("t", "abc", unlike=("cab",))) == []
    assert review(change("+abc"), remark("t", "abc", words="x")) == []


def test_paths_context_and_what_follows_count() -> None:
    tests = remark("t", "abc", paths="tests/")
    assert review(change("+abc"), tests) == []
    assert len(review(change("+abc", path="tests/a.py"), tests)) == 1
    within = remark("t", "abc", context="async def")
    assert review(change("+abc"), within) == []
    assert len(review(change("+abc", section="async def f()"), within)) == 1
    assert len(review(change(" async def f():", "+abc"), within)) == 1
    follows = remark("t", "abc: pass", block=True, follows="^pass$")
    assert review(change("+abc:", "+return"), follows) == []
    assert len(review(change("+abc:", "-return", "+    pass"), follows)) == 1


def test_most_remarks_are_for_source_code() -> None:
    assert review(change("+abc", path="notes.md"), remark("t", "abc")) == []
    anywhere = remark("t", "abc", anywhere=True)
    assert len(review(change("+abc", path="notes.md"), anywhere)) == 1


def test_a_line_that_was_moved_is_not_taken_away() -> None:
    left = remark("t", "abc", side="LEFT")
    assert review(change("-abc") + "\n" + change("+    abc", path="b.py"), left) == []


def test_some_remarks_are_for_changes_without_tests() -> None:
    untested = remark("t", "abc", untested=True)
    assert len(review(change("+abc"), untested)) == 1
    both = change("+abc") + "\n" + change("+def", path="tests/test_a.py")
    assert review(both, untested) == []


def test_a_line_has_one_remark_and_a_file_not_many_of_a_kind() -> None:
    high, low = remark("high", "abc", severity="high"), remark("low", "bca")
    found = review(change(*["+abc"] * 10), low, high)
    assert len({each.line.number for each in found}) == len(found)
    many = "\n".join(change(*["+abc"] * 10, path=f"{n}.py") for n in range(20))
    found = review(many, high)
    assert len(found) == FINDINGS
    assert max(sum(each.path == f"{n}.py" for each in found) for n in range(20)) == EACH


def test_of_a_large_change_not_all_is_looked_at_but_the_gravest_is() -> None:
    embedder = Equal()
    grave = remark("grave", "zzz", severity="high", words="zzz")
    lines = [f"+a{number}" for number in range(2000)]
    reviewer = Reviewer(embedder, [remark("low", "qqqq"), grave])
    found = asyncio.run(reviewer.review(parse(change(*lines, "+zzz"))))
    assert "grave" in {each.remark.title for each in found}
    assert len(embedder.asked) <= CANDIDATES + 2


def test_the_same_change_is_embedded_once() -> None:
    embedder = Equal()
    reviewer = Reviewer(embedder, [remark("t", "abc")])
    first = asyncio.run(reviewer.review(parse(change("+abc", "+def"))))
    count = len(embedder.asked)
    assert asyncio.run(reviewer.review(parse(change("+abc", "+def")))) == first
    assert len(embedder.asked) == count
