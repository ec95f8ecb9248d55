"""What is new since a review: what was pushed, and nothing else."""

from __future__ import annotations

import pytest
from review_bot.diff import FileDiff
from review_bot.incremental import scope
from review_bot.review import State
from review_bot.shapes import Comparison
from review_bot.skipping import skip

HEAD = "0123456789abcdef"


def file(path, patch, **more):
    return skip(FileDiff.of({"filename": path, "status": "modified", "patch": patch, **more}))


def pushed(*files, complete=True):
    return Comparison({each.path: each for each in files}, complete)


WHOLE = file("a.py", "@@ -1,3 +1,4 @@\n x\n+one\n y\n-gone\n+two")


@pytest.mark.parametrize(
    ("before", "comparison"),
    [
        (None, None),
        (None, pushed(WHOLE)),
        (State(HEAD), None),
        (State(HEAD), pushed(WHOLE, complete=False)),
    ],
)
def test_without_a_review_before_or_a_whole_comparison_it_is_all(before, comparison):
    found = scope([WHOLE], before, comparison)
    assert found.full
    assert found.files == (WHOLE,)


def test_only_the_hunks_that_were_pushed_are_new():
    newer = file("a.py", "@@ -3,1 +4,1 @@\n-old two\n+two")
    found = scope([WHOLE, file("b.py", "@@ -1 +1 @@\n-1\n+2")], State(HEAD), pushed(newer))
    assert (found.full, found.since) == (False, HEAD)
    [only] = found.files
    assert only.hunks == newer.hunks


def test_a_push_that_only_removes_lines_is_new():
    newer = file("a.py", "@@ -4,2 +4,1 @@\n two\n-gone")
    assert [each.path for each in scope([WHOLE], State(HEAD), pushed(newer)).files] == ["a.py"]


def test_what_a_merge_of_the_base_branch_brought_in_is_not():
    merged = file("a.py", "@@ -0,0 +1,1 @@\n+x\n@@ -9,1 +9,1 @@\n-theirs\n+ours")
    other = file("base.py", "@@ -1 +1 @@\n-1\n+2")
    assert scope([WHOLE], State(HEAD), pushed(merged, other)).files == ()


def test_a_file_that_is_skipped_is_said_again_when_it_was_pushed():
    lock = file("uv.lock", "@@ -1 +1 @@\n-1\n+2")
    assert scope([lock], State(HEAD), pushed(lock)).files[0].skipped == "lock file"
