"""What the demo's reviewer can say: remarks.toml, checked."""

from __future__ import annotations

import functools
import re
from importlib.resources import files
from typing import Final, Literal

import msgspec

THRESHOLD: Final = 0.45

Level = Literal["low", "medium", "high"]


class Remark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One remark, with what it applies to."""

    title: str
    severity: Level
    detail: str
    words: str
    """A regular expression; without it in a line the remark is not considered."""
    examples: tuple[str, ...]
    """Code to which it applies."""
    unlike: tuple[str, ...]
    """Code that looks like it, and to which it does not apply."""
    risk: str = ""
    """What it means for the change as a whole."""
    side: Literal["LEFT", "RIGHT"] = "RIGHT"
    """Whether it is about added lines, or removed ones."""
    context: str = ""
    """What has to stand in the hunk, up to the line."""
    paths: str = ""
    not_paths: str = ""
    anywhere: bool = False
    """Whether it is for files that are no source code, too."""
    untested: bool = False
    """Whether it is only for changes that touch no test."""
    block: bool = False
    """Whether the line is read together with the one that follows it, if it opens a block."""
    follows: str = ""
    """What that next line has to be."""
    threshold: float = THRESHOLD
    """The least similarity to an example."""

    def may_apply(self, path: str, line: str) -> bool:
        """Say whether a line has the words of it, in a file of the right kind."""
        return (
            _found(self.words, line)
            and (not self.paths or _found(self.paths, path))
            and not (self.not_paths and _found(self.not_paths, path))
        )

    def fits(self, before: str, after: str) -> bool:
        """Say whether the lines around are what it is about."""
        return (not self.context or _found(self.context, before)) and (
            not self.follows or _found(self.follows, after)
        )


class _List(msgspec.Struct, frozen=True):
    remark: tuple[Remark, ...]


@functools.cache
def all_remarks() -> tuple[Remark, ...]:
    """Return them in the order of the file."""
    data = files(__package__).joinpath("remarks.toml").read_bytes()
    return msgspec.toml.decode(data, type=_List).remark


def _found(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None
