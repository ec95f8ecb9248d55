"""What of a pull request is new since it was reviewed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from review_bot.diff import FileDiff, Hunk
    from review_bot.review import State
    from review_bot.shapes import Comparison


@dataclass(frozen=True)
class Scope:
    """What is to be reviewed; `since` is the head that was reviewed before, of an increment."""

    files: tuple[FileDiff, ...]
    since: str = ""

    @property
    def full(self) -> bool:
        """Whether it is the whole change."""
        return not self.since


def scope(files: Sequence[FileDiff], before: State | None, comparison: Comparison | None) -> Scope:
    """Choose the whole change, or what was pushed since the last review.

    It is the whole change without a review before, after a force-push (the old head is no ancestor
    of the new one, or gone), and where the comparison cannot show everything.
    """
    if before is None or comparison is None or not comparison.complete:
        return Scope(tuple(files))
    return Scope(tuple(_new(files, comparison.files)), before.head)


def _new(files: Sequence[FileDiff], pushed: Mapping[str, FileDiff]) -> list[FileDiff]:
    """Return the new hunks of the files of the pull request."""
    found = []
    for file in files:
        newer = pushed.get(file.path)
        if newer is None:
            continue
        added, removed = _changed(file)
        hunks = tuple(each for each in newer.hunks if _is_of_it(each, added, removed))
        if hunks or file.skipped:
            found.append(replace(file, hunks=hunks))
    return found


def _changed(file: FileDiff) -> tuple[set[int | None], set[str]]:
    """Return the numbers of a file's added lines, and the texts of its removed ones."""
    lines = [line for hunk in file.hunks for line in hunk.lines]
    added = {line.new for line in lines if line.kind == "+"}
    return added, {line.text for line in lines if line.kind == "-"}


def _is_of_it(hunk: Hunk, added: set[int | None], removed: set[str]) -> bool:
    """Whether a hunk that was pushed is of the pull request.

    What a merge of the base branch brought in is in the comparison, but not in the pull request.
    """
    return any(
        (line.kind == "+" and line.new in added) or (line.kind == "-" and line.text in removed)
        for line in hunk.lines
    )
