"""What a GitHub knows: people, a repository, pull requests, comments and labels."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onecopy.demo.agent.github.history import History


@dataclass
class Comment:
    """A comment of a conversation, or on a line (`path` is set)."""

    id: int
    number: int
    author: str
    body: str
    created: datetime
    updated: datetime
    path: str = ""
    side: str = "RIGHT"
    line: int = 0
    commit: str = ""


@dataclass
class PullRequest:
    """A pull request; its diff is that of `head` since it left `base`."""

    number: int
    title: str
    base: str
    head: str
    author: str
    body: str = ""
    state: str = "open"
    draft: bool = False
    from_fork: bool = True
    head_gone: bool = False
    """Whether the branch, or the fork it is in, was deleted."""
    labels: list[str] = field(default_factory=list)
    created: datetime = field(default_factory=lambda: now())


@dataclass
class GitHubState:
    """One repository and those who work on it."""

    history: History
    repo: str = "octo-org/demo"
    bot: str = "review-bot"
    people: dict[str, str] = field(default_factory=lambda: {"ada": "write", "eve": "read"})
    """What each may do: `admin`, `write`, `read` or `none`."""
    pulls: dict[int, PullRequest] = field(default_factory=dict)
    comments: list[Comment] = field(default_factory=list)
    """Of conversations, oldest first."""
    line_comments: list[Comment] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = itertools.count(1001)

    def open(self, title: str, base: str, head: str, author: str = "ada") -> PullRequest:
        """Open a pull request."""
        pull = PullRequest(len(self.pulls) + 1, title, base, head, author)
        self.pulls[pull.number] = pull
        return pull

    def comment(self, number: int, author: str, body: str) -> Comment:
        """Add to a conversation."""
        comment = Comment(next(self._ids), number, author, body, now(), now())
        self.comments.append(comment)
        return comment

    def comment_on_line(
        self, number: int, author: str, body: str, path: str, side: str, line: int, commit: str
    ) -> Comment:
        """Add a comment on a line of the diff."""
        comment = Comment(
            next(self._ids), number, author, body, now(), now(), path, side, line, commit
        )
        self.line_comments.append(comment)
        return comment


def now() -> datetime:
    """Return the time, in whole seconds as GitHub shows it."""
    return datetime.now(timezone.utc).replace(microsecond=0)
