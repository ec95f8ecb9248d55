"""Diffs as GitHub's API has them: hunks, and which line of which side each line is."""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

RIGHT = "RIGHT"
LEFT = "LEFT"

_HEADER = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a hunk: `+`, `-` or a blank; its number in the old and in the new file."""

    kind: str
    old: int | None
    new: int | None
    text: str

    @property
    def side(self) -> str:
        """The side on which GitHub takes comments on it: removed lines are left, others right."""
        return LEFT if self.kind == "-" else RIGHT

    @property
    def number(self) -> int:
        """Its number on that side."""
        return (self.old if self.kind == "-" else self.new) or 0


@dataclass(frozen=True)
class Hunk:
    """A run of lines; `section` is what git shows of the function around it."""

    lines: tuple[Line, ...]
    section: str = ""


@dataclass(frozen=True)
class FileDiff:
    """What a pull request does to one file."""

    path: str
    status: str = "modified"
    previous: str = ""
    """The path before a renaming."""
    hunks: tuple[Hunk, ...] = ()
    additions: int = 0
    deletions: int = 0
    skipped: str = ""
    """Why it is not reviewed."""

    @classmethod
    def of(cls, given: dict[str, Any]) -> FileDiff:
        """Make one of an entry of `GET /repos/…/pulls/…/files`, or of a comparison's files."""
        return cls(
            given["filename"],
            given.get("status") or "modified",
            given.get("previous_filename") or "",
            tuple(parse(given.get("patch") or "")),
            given.get("additions") or 0,
            given.get("deletions") or 0,
        )

    @functools.cached_property
    def anchors(self) -> dict[tuple[str, int], str]:
        """What stays the same of each line when others move it, by side and number.

        These are the lines on which GitHub takes comments.
        """
        return dict(_anchors(self.path, self.hunks))

    @functools.cached_property
    def places(self) -> dict[str, tuple[str, int]]:
        """Side and number of the first line that has an anchor."""
        return {anchor: place for place, anchor in reversed(self.anchors.items())}


def parse(patch: str) -> Iterator[Hunk]:
    """Read a patch's hunks; what is garbled or cut off ends it.

    Lines end at line feeds only: a file's own carriage returns and form feeds are text.
    """
    lines = patch.split("\n")
    at = 0
    while at < len(lines):
        header = _HEADER.fullmatch(lines[at])
        if header is None:
            return
        old, n_old, new, n_new = (int(each or 1) for each in header.groups()[:4])
        found, at = _body(lines, at + 1, old, new, [n_old, n_new])
        yield Hunk(tuple(found), header[5])


def _body(lines: list[str], at: int, old: int, new: int, left: list[int]) -> tuple[list[Line], int]:
    """Read as many lines as the header has announced: text may look like a header."""
    found: list[Line] = []
    while at < len(lines) and (left[0] > 0 or left[1] > 0):
        kind, text = lines[at][:1], lines[at][1:]
        if kind == "\\":  # "No newline at end of file" counts for nothing
            at += 1
            continue
        if kind not in ("+", "-", " "):
            return found, len(lines)
        is_old, is_new = kind != "+", kind != "-"
        found.append(Line(kind, old if is_old else None, new if is_new else None, text))
        old, new, at = old + is_old, new + is_new, at + 1
        left[0] -= is_old
        left[1] -= is_new
    while at < len(lines) and (lines[at].startswith("\\") or not lines[at]):
        at += 1
    return found, at


def _anchors(path: str, hunks: tuple[Hunk, ...]) -> Iterator[tuple[tuple[str, int], str]]:
    for hunk in hunks:
        before = ""
        for line in hunk.lines:
            known = "\0".join((path, line.side, before, line.text))
            digest = hashlib.sha256(known.encode(errors="surrogatepass")).hexdigest()[:16]
            yield (line.side, line.number), digest
            before = line.text
