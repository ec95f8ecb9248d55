"""What was seen in the demo of the code-review bot."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from onecopy.demo.agent.github.patch import hunks

if TYPE_CHECKING:
    from onecopy.agents.records.run import Run
    from onecopy.demo.agent.example import Change
    from onecopy.demo.agent.github.history import History
    from onecopy.demo.agent.github.state import Comment, PullRequest
    from onecopy.demo.check import Check


@dataclass(frozen=True)
class LineComment:
    """A comment on a line, the line itself, and the commit with which it came."""

    path: str
    number: int
    line: str
    body: str
    commit: str


@dataclass
class Outcome:
    """All of it."""

    change: Change
    """What was reviewed."""
    read: int = 0
    """How many commits were read to choose it; 0 if there was no choice."""
    found: bool = True
    """Whether those had any findings."""
    answer: str = ""
    """What the second one of two equal deliveries was answered."""
    first: str = ""
    """The comment after the pull request was opened."""
    second: str = ""
    """The same comment after the second commit."""
    lines: list[LineComment] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    runs: list[Run] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)


def shown(comment: Comment, pull: PullRequest, history: History) -> LineComment:
    """Return a comment with the line that it was made on."""
    files = history.files(pull.base, comment.commit)
    patch = next((each.patch for each in files if each.path == comment.path), None)
    place = comment.side, comment.line
    lines = (line for hunk in hunks(patch) for line in hunk.lines if place in line.places)
    text = next((line.text for line in lines), "")
    return LineComment(comment.path, comment.line, text, comment.body, comment.commit)
