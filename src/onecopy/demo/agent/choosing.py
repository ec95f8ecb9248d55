"""Choosing a change of a git repository that is worth a review, and short enough for a demo."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from onecopy.demo.agent.changes import CODE, of_files
from onecopy.demo.agent.example import Change
from onecopy.errors import InvalidArgument

if TYPE_CHECKING:
    from onecopy.demo.agent.github.git_history import GitHistory, Size
    from onecopy.demo.agent.github.history import History
    from onecopy.demo.agent.reviewer import Reviewer

    Pair = tuple[Size, Size]

COMMITS: Final = 100
"""How far back it goes."""
FILES: Final = 10
"""The most files of a commit."""
LINES: Final = 600
"""The most lines of a commit, added and removed."""
READ: Final = 2000
"""Lines that are read to choose; some seconds of work."""
ENOUGH: Final = 3
"""Kinds of findings with which a change is taken at once."""
_SMALL: Final = 20
"""Lines below which a commit is taken only if there is nothing better."""
_ELSE: Final = "name another repository with --repo, or leave it out"


@dataclass(frozen=True)
class Choice:
    """The change that was chosen, and of how many commits that were read for it."""

    change: Change
    read: int = 0
    """0 if there was no choice."""
    found: bool = True
    """Whether there was anything to find in it; so if it was not read."""


def suiting(history: GitHistory) -> list[Change]:
    """Return two commits, one on the other, that are short enough; and others, the best first.

    Newer ones come before older ones; those that are tiny, or without code, come last. All of them
    can be read in some seconds.

    Raises:
        InvalidArgument: the repository has none.
    """
    sizes = history.sizes(COMMITS)
    if len(sizes) < 3:
        raise InvalidArgument(
            "the demo needs a repository with three commits, where a branch begins and two changes "
            f"on it; this one has {len(sizes)}; {_ELSE}"
        )
    parents = {each.commit: base.commit for each, base in itertools.pairwise(sizes)}
    # The oldest one has nothing below it.
    newer = itertools.pairwise(sizes[:-1])
    pairs = [(first, second) for second, first in newer if _fits(first) and _fits(second)]
    if not pairs:
        raise InvalidArgument(
            f"no two of the newest {len(sizes)} commits, one on the other, are short enough for "
            f"the demo: text, and at most {FILES} files and {LINES} lines each; {_ELSE}"
        )
    pairs.sort(key=lambda pair: not _is_good(pair[0]))
    return [
        Change(history.title(first.commit), parents[first.commit], first.commit, second.commit)
        for first, second in _readable(pairs)
    ]


async def choose(history: History, changes: Sequence[Change], reviewer: Reviewer) -> Choice:
    """Return the first change in which the reviewer finds much, or else the one with most.

    Nothing else is told of that: the bot has it read once more.
    """
    reading = _Reading(history, reviewer)
    best, most = changes[0], (False, 0)
    for change in changes if len(changes) > 1 else ():
        first = await reading.kinds(change.base, change.first)
        worth = bool(first), len(first | await reading.kinds(change.first, change.second))
        if worth > most:
            best, most = change, worth
        if worth >= (True, ENOUGH):
            break
    return Choice(best, reading.commits, not reading.commits or most[1] > 0)


def _fits(size: Size) -> bool:
    return 0 < size.lines <= LINES and len(size.paths) <= FILES


def _is_good(size: Size) -> bool:
    return size.lines >= _SMALL and any(CODE.search(each) for each in size.paths)


def _readable(pairs: Iterable[Pair]) -> Iterator[Pair]:
    read: dict[str, int] = {}
    for pair in pairs:
        read |= {each.commit: each.lines for each in pair}
        if sum(read.values()) > READ:
            return
        yield pair


class _Reading:
    """Commits as far as they were read, each once."""

    def __init__(self, history: History, reviewer: Reviewer) -> None:
        self._history = history
        self._reviewer = reviewer
        self._kinds: dict[str, frozenset[str]] = {}

    @property
    def commits(self) -> int:
        """How many were read."""
        return len(self._kinds)

    async def kinds(self, base: str, commit: str) -> frozenset[str]:
        """Return the titles of the remarks on a commit."""
        if commit not in self._kinds:
            found = await self._reviewer.review(of_files(self._history.files(base, commit)))
            self._kinds[commit] = frozenset(each.remark.title for each in found)
        return self._kinds[commit]
