"""Choosing a change of a git repository that is worth a review, and short enough for a demo."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from onecopy.demo.agent.example import Change
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.demo.agent.github.git_history import GitHistory

_LOOKED_AT: Final = 60
_FILES: Final = range(1, 9)
_LINES: Final = range(20, 600)


def choose(history: GitHistory) -> Change:
    """Return the newest two commits, one on the other, of which both change some code.

    Raises:
        InvalidArgument: the repository has none.
    """
    commits = history.commits(count=_LOOKED_AT)
    for second, first, base in zip(commits, commits[1:], commits[2:], strict=False):
        if _suits(history, base, first) and _suits(history, first, second):
            return Change(history.title(first), base, first, second)
    raise InvalidArgument(
        f"none of the newest {_LOOKED_AT} commits is a change for this demo; name another "
        "repository with --repo, or leave it out"
    )


def _suits(history: GitHistory, old: str, new: str) -> bool:
    files = [each for each in history.files(old, new) if each.patch]
    lines = sum(each.additions + each.deletions for each in files)
    code = any(each.path.endswith(".py") and each.additions for each in files)
    return code and len(files) in _FILES and lines in _LINES
