"""GitHub's REST API, as far as the bot needs it: one pull request, its comments and labels.

What all of it raises: `Retry` and `GiveUp` (transport.py).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

from onecopy_agent import TooLarge, log

from review_bot.diff import FileDiff
from review_bot.shapes import Comment, Comparison, PullRequest
from review_bot.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEXT = re.compile(r'<([^<>]*)>\s*;[^,]*\brel="next"')
_PAGE = 100
_MAX_PAGES = 100
_COMPARED = 300
"""A comparison lists no more files."""


class GitHub:
    """The API of one GitHub, for one pull request of one repository."""

    def __init__(self, api: str, repo: str, number: str, attempt: int = 1) -> None:
        self._repo = f"{api.rstrip('/')}/repos/{repo}"
        self._user = f"{api.rstrip('/')}/user"
        self._pull = f"{self._repo}/pulls/{number}"
        self._issue = f"{self._repo}/issues/{number}"
        self._transport = Transport(attempt)

    def pause(self) -> float:
        """Return how long to wait before the next attempt."""
        return self._transport.pause()

    def pull_request(self) -> PullRequest | None:
        """Return the pull request; None where it, or its repository, is gone."""
        reply = self._transport.send("GET", self._pull, gone=True)
        return None if reply is None else PullRequest.of(reply.json())

    def files(self, limit: int) -> tuple[list[FileDiff], bool]:
        """Return at most `limit` changed files, and whether these are all.

        Pages with large patches are asked for again in smaller ones.
        """
        for size in (_PAGE, 20, 4):
            found: list[FileDiff] = []
            try:
                for each in self._pages(f"{self._pull}/files", size):
                    if len(found) == limit:
                        return found, False
                    found.append(FileDiff.of(each))
            except TooLarge:
                log.warning(f"{size} files in one answer are too large")
                continue
            return found, True
        return found, False

    def compare(self, old: str, new: str) -> Comparison:
        """Return what was pushed between two heads."""
        try:
            reply = self._transport.send("GET", f"{self._repo}/compare/{old}...{new}", gone=True)
        except TooLarge:
            return Comparison()
        if reply is None:  # a force-push, and the old head is no longer there
            return Comparison()
        given = reply.json()
        files = [FileDiff.of(each) for each in given.get("files") or ()]
        complete = given["status"] in ("ahead", "identical") and len(files) < _COMPARED
        return Comparison({each.path: each for each in files}, complete)

    def may_write(self, login: str) -> bool:
        """Whether a person may push to the repository."""
        path = f"{self._repo}/collaborators/{quote(login, safe='')}/permission"
        reply = self._transport.send("GET", path, gone=True)
        return reply is not None and reply.json().get("permission") in ("write", "admin")

    def me(self) -> str:
        """Return the name that the bot's token has; empty for the token of an app."""
        reply = self._transport.send("GET", self._user, gone=True, forbidden=True)
        return "" if reply is None else str(reply.json().get("login") or "")

    def comments(self) -> Iterator[Comment]:
        """Return the comments of the conversation, oldest first."""
        return map(Comment.of, self._pages(f"{self._issue}/comments"))

    def line_comments(self) -> Iterator[Comment]:
        """Return the comments on lines."""
        return map(Comment.of, self._pages(f"{self._pull}/comments"))

    def create_comment(self, body: str) -> Comment:
        """Add a comment to the conversation.

        Raises:
            Ambiguous: look for it before you try again.
        """
        return Comment.of(self._transport.create(f"{self._issue}/comments", {"body": body}).json())

    def update_comment(self, id: int, body: str) -> Comment | None:
        """Change a comment; None where it is gone."""
        url = f"{self._repo}/issues/comments/{id}"
        reply = self._transport.send("PATCH", url, {"body": body}, gone=True)
        return None if reply is None else Comment.of(reply.json())

    def create_line_comment(self, body: str, head: str, path: str, side: str, line: int) -> bool:
        """Comment on a line of the diff; False where GitHub finds no such line.

        Raises:
            Ambiguous: look for it before you try again.
        """
        sent = {"body": body, "commit_id": head, "path": path, "side": side, "line": line}
        return self._transport.create(f"{self._pull}/comments", sent, refusable=True).ok

    def add_label(self, name: str) -> None:
        """Put a label on the pull request; GitHub makes one that there is not yet."""
        self._transport.send("POST", f"{self._issue}/labels", {"labels": [name]})

    def remove_label(self, name: str) -> None:
        """Take a label off; one that is not there is fine."""
        self._transport.send("DELETE", f"{self._issue}/labels/{quote(name, safe='')}", gone=True)

    def _pages(self, url: str, size: int = _PAGE) -> Iterator[dict[str, Any]]:
        """Follow the links to next pages.

        Only their query is believed: GitHub writes them with the repository's number, which no
        grant has.
        """
        query = {"per_page": str(size)}
        for _ in range(_MAX_PAGES):
            reply = self._transport.send("GET", url, query=query)
            assert reply is not None
            yield from reply.json()
            link = _NEXT.search(reply.header("link"))
            if link is None:
                return
            given = dict(parse_qsl(urlsplit(link[1]).query))
            query = {key: given[key] for key in ("per_page", "page") if key in given}
