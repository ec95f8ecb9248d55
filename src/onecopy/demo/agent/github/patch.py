"""The lines of a patch, with their numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

_HEADER: Final = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)")


@dataclass(frozen=True)
class PatchLine:
    """A line: `+`, `-` or a blank, and its number before and after; 0 where it is not."""

    kind: str
    old: int
    new: int
    text: str

    @property
    def places(self) -> list[tuple[str, int]]:
        """Side and number, as a comment on it names them; a line that is kept has two."""
        both = ("RIGHT", self.new), ("LEFT", self.old)
        return [(side, number) for side, number in both if number]


@dataclass
class PatchHunk:
    """Lines that follow one another; `section` is the function around them."""

    section: str
    lines: list[PatchLine] = field(default_factory=list)


def hunks(patch: str | None) -> list[PatchHunk]:
    """Read a patch as GitHub sends it: without the lines that name the file.

    >>> hunks("@@ -1 +1 @@ def f():\\n-x = 1\\n+x = 2")[0].lines[1]
    PatchLine(kind='+', old=0, new=1, text='x = 2')
    """
    found: list[PatchHunk] = []
    old = new = 0
    # Not splitlines(): a line of code may have other separators in it.
    for line in (patch or "").split("\n"):
        header = _HEADER.match(line)
        if header:
            old, new = int(header[1]), int(header[2])
            found.append(PatchHunk(header[3]))
        elif line.startswith(("+", "-", " ")):
            is_old, is_new = line[0] != "+", line[0] != "-"
            found[-1].lines.append(
                PatchLine(line[0], old if is_old else 0, new if is_new else 0, line[1:])
            )
            old, new = old + is_old, new + is_new
    return found


def places(patch: str | None) -> Iterator[tuple[str, int]]:
    """Yield side and number of the lines on which comments are possible: those that it shows."""
    for hunk in hunks(patch):
        for line in hunk.lines:
            yield from line.places
