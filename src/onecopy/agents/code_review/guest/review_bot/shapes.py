"""What the bot takes out of GitHub's answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from review_bot.diff import FileDiff


@dataclass(frozen=True)
class PullRequest:
    """A pull request as it is now."""

    number: int
    head: str
    title: str
    body: str
    open: bool
    draft: bool
    changed: int
    labels: frozenset[str]

    @classmethod
    def of(cls, given: dict[str, Any]) -> PullRequest:
        """Make one of `GET /repos/…/pulls/…`."""
        return cls(
            given["number"],
            given["head"]["sha"],
            given.get("title") or "",
            given.get("body") or "",
            given["state"] == "open",
            bool(given.get("draft")),
            given.get("changed_files") or 0,
            frozenset(each["name"] for each in given.get("labels") or ()),
        )


@dataclass(frozen=True)
class Comment:
    """A comment of a conversation, or on a line."""

    id: int
    body: str
    author: str
    bot: bool
    """Whether the author is an app, and no person."""

    @classmethod
    def of(cls, given: dict[str, Any]) -> Comment:
        """Make one of GitHub's; the author of a deleted account is null."""
        user = given.get("user") or {}
        bot = user.get("type") == "Bot"
        return cls(given["id"], given.get("body") or "", user.get("login") or "", bot)


@dataclass(frozen=True)
class Comparison:
    """What one commit has more than another one."""

    files: dict[str, FileDiff] = field(default_factory=dict)
    complete: bool = False
    """Whether the other one is an ancestor, and all files are here."""
