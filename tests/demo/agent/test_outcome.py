"""A comment is shown with the line that it was made on."""

from __future__ import annotations

from onecopy.demo.agent.github.history import Versions
from onecopy.demo.agent.github.state import GitHubState
from onecopy.demo.agent.outcome import LineComment, shown


def test_the_line_is_that_of_the_commit_and_the_side() -> None:
    versions = Versions()
    base = versions.add({"a.py": "one\ntwo\n"})
    first = versions.add({"a.py": "one\nzwei\n"}, parent=base)
    second = versions.add({"a.py": "null\none\nzwei\n"}, parent=first)
    state = GitHubState(versions)
    pull = state.open("t", base, second)
    lines = []
    for side, commit in (("RIGHT", first), ("LEFT", first), ("RIGHT", second)):
        comment = state.comment_on_line(pull.number, "ada", "b", "a.py", side, 2, commit)
        lines.append(shown(comment, pull, versions))
    assert lines[0] == LineComment("a.py", 2, "zwei", "b", first)
    assert [each.line for each in lines] == ["zwei", "two", "one"]
